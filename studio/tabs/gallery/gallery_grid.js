// Results as cards, one page at a time. A click opens a result; a tick selects it for actions on several.
const find = selector => element.querySelector(selector);
const gallery = find('.gallery'), cards = find('.cards');
let opened = '';

function card(result, ticked) {
  const item = document.createElement('li'), open = document.createElement('button');
  const tick = document.createElement('input'), label = document.createElement('label');
  item.dataset.name = result.name;
  open.type = 'button'; open.className = 'open';
  if (result.thumbnail) {
    const picture = document.createElement('img');
    picture.alt = ''; picture.src = result.thumbnail; picture.loading = 'lazy';
    open.append(picture);
  } else {
    const words = document.createElement('span');
    words.className = 'words'; words.textContent = result.words;
    open.append(words);
  }
  if (result.video) open.classList.add('video');
  const caption = document.createElement('span');
  caption.className = 'caption'; caption.textContent = result.title;
  const facts = document.createElement('span');
  facts.className = 'facts'; facts.textContent = result.facts;
  open.append(caption, facts);
  open.setAttribute('aria-label', `${result.title}, ${result.facts}`);
  open.onclick = () => { opened = result.name; trigger('pick', { name: result.name }); };
  tick.type = 'checkbox'; tick.checked = ticked;
  tick.setAttribute('aria-label', `${props.value.choose}: ${result.title}, ${result.facts}`);
  tick.onchange = () => {
    const chosen = (props.value.chosen || []).filter(name => name !== result.name);
    props.value = { ...props.value, chosen: tick.checked ? [...chosen, result.name] : chosen };
    gallery.dataset.chosen = props.value.chosen.length;
  };
  label.className = 'tick';
  label.append(tick);
  item.append(open, label);
  return item;
}

const button_of = name => [...cards.children].find(item => item.dataset.name === name)?.querySelector('.open');

function show() {
  const value = props.value || {}, results = value.results || [], chosen = new Set(value.chosen || []);
  const held = document.activeElement.closest?.('.cards li')?.dataset.name;
  cards.replaceChildren(...results.map(result => card(result, chosen.has(result.name))));
  if (held) button_of(held)?.focus();
  find('.nothing').hidden = results.length > 0;
  find('.nothing').textContent = value.nothing || '';
  find('.pages').hidden = !(value.pages > 1);
  find('.where').textContent = value.where || '';
  find('.newer').disabled = !(value.page > 0);
  find('.older').disabled = !(value.page < value.pages - 1);
  gallery.dataset.shown = value.stamp || '';
  if (results.some(result => result.pending)) setTimeout(() => trigger('pick', { page: value.page }), 50);
  gallery.dataset.chosen = chosen.size;
}

// Arrow keys move between cards.
cards.addEventListener('keydown', event => {
  const buttons = [...cards.querySelectorAll('.open')], at = buttons.indexOf(document.activeElement);
  const across = getComputedStyle(cards).gridTemplateColumns.split(' ').length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (at < 0 || !by || !buttons[at + by]) return;
  event.preventDefault();
  buttons[at + by].focus();
});
// After a result is closed or deleted, return the focus to its place in the grid.
async function come_back() {
  for (let tries = 0; tries < 180 && document.querySelector('#gallery-close')?.offsetParent; tries++) await new Promise(requestAnimationFrame);
  if (!document.querySelector('#gallery-close')?.offsetParent) (button_of(opened) || cards.querySelector('.open'))?.focus();
}
document.addEventListener('click', event => {
  if (element.isConnected && event.target.closest?.('#gallery-close, #gallery-delete')) come_back();
});
find('.newer').onclick = () => trigger('pick', { page: props.value.page - 1 });
find('.older').onclick = () => trigger('pick', { page: props.value.page + 1 });
watch('value', show);
show();
