// Light or dark: as the browser prefers, or the address or the server says, until somebody chooses; then as chosen.
const looks = element.querySelector('.looks');
const chosen_look = new URLSearchParams(location.search).has('__theme') ? null : localStorage.getItem('reverie-theme');
const wear = dark => {
  document.body.classList.toggle('dark', dark);
  looks.setAttribute('aria-pressed', String(dark));
};
wear(chosen_look ? chosen_look === 'dark' : document.body.classList.contains('dark'));
looks.onclick = () => {
  const dark = !document.body.classList.contains('dark');
  localStorage.setItem('reverie-theme', dark ? 'dark' : 'light');
  wear(dark);
};

