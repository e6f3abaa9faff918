// Model list: each row shows where a model is, its details, and the available actions.
const models = element.querySelector('.models'), aloud = models.querySelector('.aloud');
const groups = models.querySelector('.groups');
const copyOf = name => models.querySelector(`template.${name}`).content.firstElementChild.cloneNode(true);
const rows = new Map();
let asking = '', spoken = '';

// Actions of the buttons: events for the page, or changes of the list itself.
const deeds = {
  get: name => trigger('obtain', { name }),
  rest: name => trigger('obtain', { name }),
  halt: name => trigger('halt', { name }),
  remove: name => ask(name),
  discard: name => { asking = ''; trigger('remove', { name }); },
  yes: name => { asking = ''; trigger('remove', { name }); },
  no: () => ask(''),
  keras: name => trigger('export', { name }),
};

function ask(name) {
  const before = asking;
  asking = name;
  draw(props.value);
  const button = rows.get(name || before)?.querySelector(name ? '.acts .no' : '.acts .remove');
  button?.focus();
}

function put(parent, tag, text, kind) {
  const child = document.createElement(tag);
  child.textContent = text;
  if (kind) child.className = kind;
  parent.append(child);
  return child;
}

function drawFacts(list, facts) {
  // Update only what changed, so that selected text stays selected.
  const written = JSON.stringify(facts);
  if (list.dataset.written === written) return;
  list.dataset.written = written;
  list.replaceChildren();
  for (const { label, lines, kind } of facts) {
    put(list, 'dt', label);
    for (const line of lines) {
      const place = put(list, 'dd', kind === 'text' ? line : '');
      if (kind === 'code') put(place, 'code', line);
      if (kind === 'link') Object.assign(put(place, 'a', line), { href: line, target: '_blank', rel: 'noopener noreferrer' });
    }
  }
}

function drawActs(place, acts, { name, words }, blocked) {
  // Keep existing buttons, and with them the focus.
  for (const button of [...place.children]) if (!acts.includes(button.className)) button.remove();
  for (const [index, act] of acts.entries()) {
    let button = place.querySelector(`.${act}`);
    if (!button) {
      button = document.createElement('button');
      button.type = 'button';
      button.className = act;
      button.onclick = () => deeds[act](name);
      place.insertBefore(button, place.children[index] || null);
    }
    button.textContent = words[act][0];
    button.setAttribute('aria-label', words[act][1]);
    button.disabled = blocked;
  }
}

function drawRow(row, model, { going, about, said }) {
  const held = row.contains(document.activeElement), find = name => row.querySelector(name);
  const mine = going && going.name === model.name, asked = asking === model.name && model.acts.includes('remove');
  row.dataset.name = model.name;
  row.dataset.here = String(model.here);
  row.dataset.going = String(Boolean(mine));
  for (const part of ['title', 'where', 'size']) find(`.${part}`).textContent = model[part];
  drawFacts(find('dl'), model.facts);
  drawActs(find('.acts'), mine ? ['halt'] : asked ? ['yes', 'no'] : model.acts, model, Boolean(going) && !mine);
  find('.going').hidden = !mine;
  if (mine) {
    find('.going .text').textContent = going.text;
    if (going.share == null) find('progress').removeAttribute('value');
    else find('progress').value = going.share;
    find('progress').setAttribute('aria-label', model.title);
  }
  find('.ask').hidden = !asked;
  find('.ask').textContent = asked ? model.ask : '';
  find('.note').textContent = !mine && about === model.name ? said : '';
  if (held && !row.contains(document.activeElement)) (find('.acts button:not(:disabled)') || find('summary')).focus();
}

function speak({ going, said }) {
  // Announce a download at its start and every tenth; the visible text changes with every message.
  const mark = going ? `${going.name} ${Math.floor(10 * (going.share || 0))}` : said;
  if (mark === spoken) return;
  spoken = mark;
  aloud.textContent = going ? going.text : said;
}

function draw(value) {
  if (!value || !value.groups) return;
  while (groups.children.length < value.groups.length) groups.append(copyOf('a-group'));
  for (const [index, group] of value.groups.entries()) {
    const section = groups.children[index], list = section.querySelector('ul');
    section.querySelector('h2').textContent = group.title;
    section.querySelector('.note').textContent = group.note;
    for (const model of group.rows) {
      if (!rows.has(model.name)) rows.set(model.name, copyOf('a-model'));
      const row = rows.get(model.name);
      if (row.parentElement !== list) list.append(row);
      drawRow(row, model, value);
    }
  }
  speak(value);
  models.dataset.drawn = Number(models.dataset.drawn) + 1;
}

watch('value', () => draw(props.value));
draw(props.value);
