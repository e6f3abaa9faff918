// Keyboard shortcuts of the whole page, and the list of them.
const dialog = element.querySelector('dialog');
const shown = selector => [...document.querySelectorAll(selector)].find(one => one.offsetParent && !one.disabled);
// Elements in which Enter has a meaning of its own.
const has_its_own = target => target.closest('button, a, summary, select, textarea, [role=combobox], [role=listbox], [role=textbox], [contenteditable=true], dialog');
const is_text = target => target.closest('textarea, [contenteditable=true], input:not([type=range], [type=checkbox], [type=radio])');

// Keep the other parameters of the URL when the language changes.
for (const link of element.querySelectorAll('.languages a')) {
  const chosen = new URL(link.href), kept = new URLSearchParams(location.search);
  for (const [name, value] of chosen.searchParams) kept.set(name, value);
  link.href = `${chosen.pathname}?${kept}`;
}

element.querySelector('.keys').onclick = () => dialog.showModal();

document.addEventListener('keydown', event => {
  if (event.defaultPrevented || event.isComposing || dialog.open || !(event.target instanceof Element)) return;
  // An open list closes first.
  if (event.key === 'Escape' && event.target.getAttribute('aria-expanded') === 'true') return;
  if (event.key === 'Escape') (shown('[id$="-stop"]') || shown('#gallery-close'))?.click();
  else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || !has_its_own(event.target))) {
    const go = shown('[id$="-go"]') || shown('.actions .primary');
    if (!go) return;
    event.preventDefault();
    // The server receives typed text once the field loses the focus.
    if (is_text(event.target)) event.target.blur();
    setTimeout(() => go.click(), 50);
  } else if (event.key === '?' && !is_text(event.target)) dialog.showModal();
  else return;
});
