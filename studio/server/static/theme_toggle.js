// Light or dark: the browser's preference, the URL or the server's option, until the user chooses.
const looks = element.querySelector('.looks');
// If storage is blocked, the choice lasts until the page is left.
const kept = {
  read() { try { return localStorage.getItem('reverie-theme'); } catch (error) { return null; } },
  write(look) { try { localStorage.setItem('reverie-theme', look); } catch (error) { console.info(error.message); } },
};
const chosen_look = new URLSearchParams(location.search).has('__theme') ? null : kept.read();
const wear = dark => {
  document.body.classList.toggle('dark', dark);
  looks.setAttribute('aria-pressed', String(dark));
};
wear(chosen_look ? chosen_look === 'dark' : document.body.classList.contains('dark'));
looks.onclick = () => {
  const dark = !document.body.classList.contains('dark');
  kept.write(dark ? 'dark' : 'light');
  wear(dark);
};
