// Keys that work wherever one is on the page, and the list of them.
const dialog = element.querySelector('dialog');
const shown = selector => [...document.querySelectorAll(selector)].find(one => one.offsetParent && !one.disabled);
// Where Enter has a meaning of its own.
const has_its_own = target => target.closest('button, a, summary, select, textarea, [role=combobox], [role=listbox], [role=textbox], [contenteditable=true], dialog');
const is_text = target => target.closest('textarea, [contenteditable=true], input:not([type=range], [type=checkbox], [type=radio])');

// Whoever changes the language keeps what else the address says.
for (const link of element.querySelectorAll('.languages a')) {
  const chosen = new URL(link.href), kept = new URLSearchParams(location.search);
  for (const [name, value] of chosen.searchParams) kept.set(name, value);
  link.href = `${chosen.pathname}?${kept}`;
}

element.querySelector('.keys').onclick = () => dialog.showModal();

document.addEventListener('keydown', event => {
  if (event.defaultPrevented || event.isComposing || dialog.open || !(event.target instanceof Element)) return;
  // A list that is open closes first.
  if (event.key === 'Escape' && event.target.getAttribute('aria-expanded') === 'true') return;
  if (event.key === 'Escape') (shown('[id$="-stop"]') || shown('#gallery-close'))?.click();
  else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || !has_its_own(event.target))) {
    const go = shown('[id$="-go"]') || shown('.actions .primary');
    if (!go) return;
    event.preventDefault();
    // What is typed is the server's once the field is left.
    if (is_text(event.target)) event.target.blur();
    setTimeout(() => go.click(), 50);
  } else if (event.key === '?' && !is_text(event.target)) dialog.showModal();
  else return;
});
