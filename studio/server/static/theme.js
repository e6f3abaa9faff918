() => {
  // The server's option, unless the user has chosen, see theme_toggle.js. Storage may be blocked.
  let chosen = null;
  try { chosen = localStorage.getItem('reverie-theme'); } catch (error) { console.info(error.message); }
  if (!chosen) document.body.classList.toggle('dark', DARK);
}
