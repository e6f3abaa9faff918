// Model list: each row shows where a model is, its details, and the available actions.
const models = element.querySelector('.models'), aloud = models.querySelector('.aloud');
const groups = models.querySelector('.groups');
const copyOf = name => models.querySelector(`template.${name}`).content.firstElementChild.cloneNode(true);
const rows = new Map();
let asking = '', spoken = '';

// Actions of the buttons: events for the page, or changes of the list itself.
const handlers = {
  get: name => trigger('download', { name }),
  rest: name => trigger('download', { name }),
  cancel: name => trigger('cancel', { name }),
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
  const button = rows.get(name || before)?.querySelector(name ? '.buttons .no' : '.buttons .remove');
  button?.focus();
}

function put(parent, tag, text, kind) {
  const child = document.createElement(tag);
  child.textContent = text;
  if (kind) child.className = kind;
  parent.append(child);
  return child;
}

function drawDetails(list, details) {
  // Update only what changed, so that selected text stays selected.
  const written = JSON.stringify(details);
  if (list.dataset.written === written) return;
  list.dataset.written = written;
  list.replaceChildren();
  for (const { label, lines, kind } of details) {
    put(list, 'dt', label);
    for (const line of lines) {
      const place = put(list, 'dd', kind === 'text' ? line : '');
      if (kind === 'code') put(place, 'code', line);
      if (kind === 'link') Object.assign(put(place, 'a', line), { href: line, target: '_blank', rel: 'noopener noreferrer' });
    }
  }
}

function drawActions(place, actions, { name, words }, blocked) {
  // Keep existing buttons, and with them the focus.
  for (const button of [...place.children]) if (!actions.includes(button.className)) button.remove();
  for (const [index, action] of actions.entries()) {
    let button = place.querySelector(`.${action}`);
    if (!button) {
      button = document.createElement('button');
      button.type = 'button';
      button.className = action;
      button.onclick = () => handlers[action](name);
      place.insertBefore(button, place.children[index] || null);
    }
    button.textContent = words[action][0];
    button.setAttribute('aria-label', words[action][1]);
    button.disabled = blocked;
  }
}

function drawRow(row, model, { active_download, about, said }) {
  const held = row.contains(document.activeElement), find = name => row.querySelector(name);
  const mine = active_download && active_download.name === model.name, asked = asking === model.name && model.actions.includes('remove');
  row.dataset.name = model.name;
  row.dataset.here = String(model.here);
  row.dataset.downloading = String(Boolean(mine));
  for (const part of ['title', 'where', 'size']) find(`.${part}`).textContent = model[part];
  drawDetails(find('dl'), model.details);
  drawActions(find('.buttons'), mine ? ['cancel'] : asked ? ['yes', 'no'] : model.actions, model, Boolean(active_download) && !mine);
  find('.download').hidden = !mine;
  if (mine) {
    find('.download .text').textContent = active_download.text;
    if (active_download.share == null) find('progress').removeAttribute('value');
    else find('progress').value = active_download.share;
    find('progress').setAttribute('aria-label', model.title);
  }
  find('.ask').hidden = !asked;
  find('.ask').textContent = asked ? model.ask : '';
  find('.note').textContent = !mine && about === model.name ? said : '';
  if (held && !row.contains(document.activeElement)) (find('.buttons button:not(:disabled)') || find('summary')).focus();
}

function speak({ active_download, said }) {
  // Announce a download at its start and every tenth; the visible text changes with every message.
  const mark = active_download ? `${active_download.name} ${Math.floor(10 * (active_download.share || 0))}` : said;
  if (mark === spoken) return;
  spoken = mark;
  aloud.textContent = active_download ? active_download.text : said;
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
