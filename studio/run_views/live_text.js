// Live text: shows a run's tokens as they arrive and acknowledges each message, as the live canvas does.
const rows = find('.rows');
// CSS classes for a token's surprisal in bits.
const LEVELS = [1, 2, 3.5, 5, 7, 9, 12];
let run = '';

const level = bits => LEVELS.findIndex(most => bits < most) + 1 || LEVELS.length + 1;

function word_of(row, index) {
  const word = document.createElement('span');
  word.className = 'word';
  word.setAttribute('role', 'button');
  word.tabIndex = -1;
  word.dataset.row = row;
  word.dataset.index = index;
  return word;
}

function say(word, piece, bits, parts) {
  // An end token or an incomplete character would leave nothing to click on.
  const shown = piece || '\u200b';
  if (word.firstChild?.data !== shown) word.textContent = shown;
  if (piece.trim()) word.removeAttribute('aria-label');
  else word.setAttribute('aria-label', piece.includes('\n') ? phrase('line break') : piece ? phrase('space') : phrase('end, or part of a character'));
  word.dataset.level = level(bits);
  word.classList.toggle('parts', parts);
  word.title = parts ? phrase('{bits} bits: diverges here from the previous temperature', { bits: bits.toFixed(1) }) : phrase('{bits} bits', { bits: bits.toFixed(1) });
}

function column(index) {
  const article = document.createElement('article');
  article.append(document.createElement('h4'), document.createElement('p'));
  article.lastChild.className = 'text';
  const prompt = document.createElement('span');
  prompt.className = 'prompt';
  article.lastChild.append(prompt);
  article.dataset.row = index;
  return article;
}

function write(written, prompt, many) {
  while (rows.children.length > written.length) rows.lastChild.remove();
  while (rows.children.length < written.length) rows.append(column(rows.children.length));
  rows.dataset.count = written.length;
  for (const [index, row] of written.entries()) {
    const [title, text] = rows.children[index].children;
    title.textContent = many ? (row.temperature ? phrase('Temperature {temperature}', { temperature: row.temperature }) : phrase('Greedy')) : '';
    text.firstChild.textContent = prompt;
    while (text.children.length > row.pieces.length + 1) text.lastChild.remove();
    for (const [place, piece] of row.pieces.entries()) {
      if (place + 1 >= text.children.length) text.append(word_of(index, place));
      say(text.children[place + 1], piece, row.bits[place], place === row.parts);
    }
    text.classList.toggle('ended', Boolean(row.ended));
  }
  if (!rows.querySelector('.word[tabindex="0"]')) rows.querySelector('.word')?.setAttribute('tabindex', '0');
}

function choose(word) {
  for (const other of rows.querySelectorAll('.chosen')) other.classList.remove('chosen');
  word?.classList.add('chosen');
  view.dataset.chosen = word ? `${word.dataset.row},${word.dataset.index}` : '';
  if (word) trigger('pick', { row: Number(word.dataset.row), index: Number(word.dataset.index) });
}

function receive(message) {
  if (!message || !message.state) return;
  if (message.state === 'ready' || message.run !== run || message.first) {
    run = message.run || '';
    rows.replaceChildren();
    choose(null);
  }
  if (message.state === 'ready') {
    view.dataset.state = 'ready';
    view.dataset.begun = false;
    return;
  }
  if (message.written) {
    const paper = find('.paper'), follows = paper.scrollHeight - paper.scrollTop - paper.clientHeight < 40;
    write(message.written, message.prompt || '', message.written.length > 1);
    if (follows && message.state === 'running') paper.scrollTop = paper.scrollHeight;
    view.dataset.drawn = Number(view.dataset.drawn || 0) + 1;
  }
  status(message);
  draw_curves(message.curves);
  if (message.watcher) server.acknowledge(message.watcher, message.number);
}

rows.addEventListener('click', event => {
  // Selecting a passage to copy it is not a click on a token.
  if (String(getSelection())) return;
  choose(event.target.closest('.word'));
});
rows.addEventListener('keydown', event => {
  const word = event.target.closest('.word');
  if (!word) return;
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    choose(word);
    return;
  }
  const all = [...rows.querySelectorAll('.word')];
  const next = all[all.indexOf(word) + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] || 0)];
  if (!next || next === word) return;
  event.preventDefault();
  word.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
const take = () => receive(props.value);
watch('value', take);
take();
