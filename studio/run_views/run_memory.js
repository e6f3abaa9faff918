// Which run is on a stage of this page. It is written down only while the page is left or out of sight, and taken back
// at once: a tab that is duplicated gets a copy of what is written, and would have the other's run.
const runs = (window.reverieRuns ??= {}), key = 'KEY';
const keep = () => { try { if (runs[key]) sessionStorage.setItem(key, runs[key]); } catch { /* it is blocked */ } };
const take = RECALL;

watch('value', () => { take(); runs[key] = props.value || ''; });
addEventListener('pagehide', keep);
addEventListener('pageshow', event => { if (event.persisted) take(); });
document.addEventListener('visibilitychange', () => (document.hidden ? keep() : take()));
