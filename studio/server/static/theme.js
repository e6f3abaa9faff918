() => {
  // As the server was told, unless somebody has chosen on the page, see looks.js. A browser may keep nothing for anybody.
  let chosen = null;
  try { chosen = localStorage.getItem('reverie-theme'); } catch (error) { console.info(error.message); }
  if (!chosen) document.body.classList.toggle('dark', DARK);
}
