// Accessibility fixes for Gradio's components: keyboard, screen readers, reduced motion.

// Each matching element is fixed once, when it is added to the page.
const FIXES = {
  // Make scrollable code focusable, so that keys can scroll it.
  '.cm-scroller[tabindex="-1"]': code => { code.tabIndex = 0; },
  // Nested buttons: the outer one becomes a group, as the inner one does what both say.
  'button:has(button)': outer => { outer.setAttribute('role', 'group'); outer.tabIndex = -1; },
  // A toast's header is a button that only folds it, around the button that closes it.
  '.toast-header[role=button]': head => { head.removeAttribute('role'); head.removeAttribute('tabindex'); },
};

function fix(root) {
  for (const [selector, change] of Object.entries(FIXES)) {
    if (root.matches?.(selector)) change(root);
    root.querySelectorAll(selector).forEach(change);
  }
}

// Move the focus from a button that becomes disabled to one beside it, such as from the start button to Stop.
async function hand_on(button) {
  const alive = ':is(button, a):not(:disabled)';
  for (let tries = 0; tries < 60; tries++) {
    await new Promise(requestAnimationFrame);
    if (![button, document.body, null].includes(document.activeElement)) return;
    const beside = [...(button.parentElement?.querySelectorAll(alive) || [])].find(other => other.offsetParent);
    if (!button.disabled) { button.focus(); return; }
    if (beside) { beside.focus(); return; }
  }
}

let focused = null;
document.addEventListener('focusin', event => { focused = event.target; });
document.addEventListener('focusout', event => { if (event.relatedTarget || !event.target.disabled) focused = null; });

new MutationObserver(changes => {
  for (const { type, target, addedNodes } of changes) {
    if (type === 'attributes') {
      if (target === focused && target.disabled) hand_on(target).catch(console.error);
    } else for (const node of addedNodes) {
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      fix(node);
      // New children may make an element match.
      const button = node.parentElement?.closest('button');
      if (button) fix(button);
    }
  }
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['disabled'] });
fix(document.body);

// Scripts animate some of Gradio's parts, which CSS cannot stop.
const still = matchMedia('(prefers-reduced-motion: reduce)');
const animate = Element.prototype.animate;
Element.prototype.animate = function (frames, options) {
  if (!still.matches) return animate.call(this, frames, options);
  return animate.call(this, frames, { ...(typeof options === 'object' ? options : {}), duration: 0, delay: 0 });
};
