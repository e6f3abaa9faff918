// Remembers the page's run across a reload. The id is in sessionStorage only while the page is hidden: a duplicated tab
// copies the storage and would take over the other tab's run.
const runs = (window.reverieRuns ??= {}), key = 'KEY';
const keep = () => { try { if (runs[key]) sessionStorage.setItem(key, runs[key]); } catch { /* storage is blocked */ } };
const take = RECALL;

watch('value', () => { take(); runs[key] = props.value || ''; });
addEventListener('pagehide', keep);
addEventListener('pageshow', event => { if (event.persisted) take(); });
document.addEventListener('visibilitychange', () => (document.hidden ? keep() : take()));
