// The live canvas: draws a run's pictures as they arrive and acknowledges each, so that the server never runs ahead.
const stage = element.querySelector('.stage');
const find = selector => stage.querySelector(selector);
const after = find('.after'), before = find('.before'), range = find('.compare input');
const MOMENTS = 10;
let moments = [], run = '', latest = '', shown = null, drawing = Promise.resolve();

const seconds = s => s == null ? '' : s < 1 ? 'under 1 s' : s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`;

async function draw(canvas, source) {
  const bitmap = await createImageBitmap(await (await fetch(source)).blob());
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width; canvas.height = bitmap.height;
  }
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  bitmap.close();
}

function place() {
  // Both pictures fill the well as far as their shape lets them; early octaves are small and are enlarged.
  const room = find('.well');
  for (const canvas of [after, before]) {
    const scale = Math.min(room.clientWidth / after.width, room.clientHeight / after.height);
    canvas.style.width = `${after.width * scale}px`;
    canvas.style.height = `${after.height * scale}px`;
  }
  // The line between them stands in the picture's own coordinates: the picture may be narrower than the well.
  const share = Number(range.value) / 100;
  before.style.clipPath = `inset(0 ${100 - share * 100}% 0 0)`;
  const box = after.getBoundingClientRect(), well = room.getBoundingClientRect();
  find('.divider').style.left = `${box.left - well.left + box.width * share}px`;
  stage.dataset.comparing = share > 0;
}

function status(message) {
  const words = {
    waiting: message.before ? `waiting: ${message.before} before you` : 'starting',
    running: message.note || 'starting',
    done: `done in ${seconds(message.seconds)}`,
    stopped: message.step ? `stopped after ${seconds(message.seconds)}, picture kept` : 'stopped',
    failed: message.error || 'failed',
  };
  stage.dataset.state = message.state;
  find('.note').textContent = words[message.state] || '';
  find('.track i').style.width = `${100 * (message.progress || 0)}%`;
  const waiting = message.state === 'waiting';
  find('.left').textContent = message.left == null ? (waiting && message.before ? 'wait not known yet' : '')
    : waiting ? `about ${seconds(message.left)}` : `${seconds(message.left)} left`;
  const loss = message.metrics?.loss;
  find('.loss').textContent = loss == null ? '' : `loss ${loss.toPrecision(3)}`;
}

function curve(losses) {
  if (!losses || losses.length < 2) return;
  const low = Math.min(...losses), high = Math.max(...losses), span = high - low || 1;
  const points = losses.map((loss, i) => `${(600 * i / (losses.length - 1)).toFixed(1)},${(116 - 112 * (loss - low) / span).toFixed(1)}`);
  find('polyline').setAttribute('points', points.join(' '));
  find('.range').textContent = `from ${losses[0].toPrecision(3)} to ${losses[losses.length - 1].toPrecision(3)}, highest ${high.toPrecision(3)}`;
}

function show(index) {
  shown = shown === index ? null : index;
  [...find('.strip').children].forEach((button, i) => button.setAttribute('aria-pressed', String(i === shown)));
  drawing = drawing.then(() => draw(after, shown === null ? latest : moments[shown].picture)).then(place);
}

function remember(message) {
  // One moment for each tenth of the run, and the last.
  const tenth = Math.min(MOMENTS - 1, Math.floor((message.progress || 0) * MOMENTS));
  if (moments.length && moments[moments.length - 1].tenth === tenth && message.state === 'running') return;
  if (moments.length && moments[moments.length - 1].tenth === tenth) { moments.pop(); find('.strip').lastChild.remove(); }
  const index = moments.push({ tenth, picture: message.picture }) - 1;
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('aria-label', `Show step ${message.step}`);
  button.setAttribute('aria-pressed', 'false');
  button.title = `step ${message.step}`;
  const picture = document.createElement('img');
  picture.alt = ''; picture.src = message.picture;
  button.append(picture);
  button.onclick = () => show(index);
  find('.strip').append(button);
}

async function receive(message) {
  if (!message || !message.state) return;
  if (message.state === 'ready') {
    // A photo has been chosen and nothing runs: show what the dream will begin with.
    run = ''; moments = []; shown = null; range.value = 0;
    find('.strip').replaceChildren();
    stage.dataset.state = 'ready';
    await draw(after, message.original);
    await draw(before, message.original);
    place();
    return;
  }
  if (message.run !== run || message.first) {
    run = message.run; moments = []; shown = null; latest = '';
    find('.strip').replaceChildren();
    range.value = 0;
    if (message.original) await draw(before, message.original);
    if (!message.picture && message.original) await draw(after, message.original);
  }
  if (message.picture) {
    latest = message.picture;
    if (shown === null) await draw(after, message.picture);
    remember(message);
    stage.dataset.drawn = Number(stage.dataset.drawn || 0) + 1;
  }
  // Only now, so that a run that is said to be over also shows its last picture.
  status(message);
  curve(message.losses);
  place();
  server.acknowledge(message.watcher, message.number);
}

function drag(event) {
  if (['idle', 'ready'].includes(stage.dataset.state) || !event.buttons) return;
  const box = after.getBoundingClientRect();
  range.value = 100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  place();
}

find('.well').addEventListener('pointerdown', drag);
find('.well').addEventListener('pointermove', drag);
range.addEventListener('input', place);
addEventListener('resize', place);
// Pictures are drawn in the order in which they came, each before the next is looked at.
const take = () => { const message = props.value; drawing = drawing.then(() => receive(message)).catch(console.error); };
watch('value', take);
take();
