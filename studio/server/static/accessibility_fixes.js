// What Gradio's own components leave out for those who use a keyboard, a screen reader, or no motion.

// Each part of the page that matches is mended once, when it comes to be there.
const MENDS = {
  // Code that scrolls can be reached, to be scrolled by keys.
  '.cm-scroller[tabindex="-1"]': code => { code.tabIndex = 0; },
  // A button around a button: the inner one does what both say.
  'button:has(button)': outer => { outer.setAttribute('role', 'group'); outer.tabIndex = -1; },
  // The head of a message, which only folds it, around the button that closes it.
  '.toast-header[role=button]': head => { head.removeAttribute('role'); head.removeAttribute('tabindex'); },
};

function mend(root) {
  for (const [selector, change] of Object.entries(MENDS)) {
    if (root.matches?.(selector)) change(root);
    root.querySelectorAll(selector).forEach(change);
  }
}

// Where the focus goes from a button that is disabled under it: to one beside it, as from the one that begins to Stop.
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
      mend(node);
      // What comes into an element may make it one that needs mending.
      const button = node.parentElement?.closest('button');
      if (button) mend(button);
    }
  }
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['disabled'] });
mend(document.body);

// Some of its parts are moved by scripts, which no style can keep still.
const still = matchMedia('(prefers-reduced-motion: reduce)');
const animate = Element.prototype.animate;
Element.prototype.animate = function (frames, options) {
  if (!still.matches) return animate.call(this, frames, options);
  return animate.call(this, frames, { ...(typeof options === 'object' ? options : {}), duration: 0, delay: 0 });
};
