// Live canvas: draws a run's images as they arrive and acknowledges each, so that the server never runs ahead.
const after = find('.after'), before = find('.before'), range = find('.compare input'), scrub = find('.scrub input');
const THUMBNAILS = 10, MAX_SNAPSHOTS = 80;
// Snapshots of the run, some of which are in the strip. `shown` is the one being viewed, or null.
let snapshots = [], stride = 1, seen = 0, run = '', latest = '', shown = null, drawing = Promise.resolve();

async function draw(canvas, source) {
  const bitmap = await createImageBitmap(await (await fetch(source)).blob());
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width; canvas.height = bitmap.height;
  }
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  bitmap.close();
}

function place() {
  // Both images are scaled to fit the box; early octaves are small and are enlarged.
  const room = find('.well');
  for (const canvas of [after, before]) {
    const scale = Math.min(room.clientWidth / after.width, room.clientHeight / after.height);
    canvas.style.width = `${after.width * scale}px`;
    canvas.style.height = `${after.height * scale}px`;
  }
  // The divider is in the image's coordinates, as the image may be narrower than the box.
  const share = Number(range.value) / 100;
  before.style.clipPath = `inset(0 ${100 - share * 100}% 0 0)`;
  const box = after.getBoundingClientRect(), well = room.getBoundingClientRect();
  find('.divider').style.left = `${box.left - well.left + box.width * share}px`;
  view.dataset.comparing = share > 0;
}

function show(index) {
  shown = index;
  const step = shown === null ? 0 : snapshots[shown].step;
  for (const button of find('.strip').children) button.setAttribute('aria-pressed', String(Number(button.dataset.step) === step));
  scrub.value = shown === null ? snapshots.length - 1 : shown;
  find('.scrub output').textContent = shown === null ? '' : phrase('step {step}', { step });
  view.dataset.chosen = step;
  const source = shown === null ? latest : snapshots[shown].picture;
  drawing = drawing.then(() => draw(after, source)).then(place);
}

// The server learns of the viewed snapshot on release, so that it can be saved or reused.
const choose = () => trigger('pick', { step: shown === null ? 0 : snapshots[shown].step });

function thumbnail(message) {
  const button = document.createElement('button'), picture = document.createElement('img');
  button.type = 'button';
  button.dataset.step = message.step;
  button.dataset.tenth = tenth_of(message);
  button.setAttribute('aria-label', phrase('Show step {step}', message));
  button.setAttribute('aria-pressed', 'false');
  button.title = phrase('step {step}', message);
  picture.alt = ''; picture.src = message.picture;
  button.append(picture);
  button.onclick = () => {
    const index = snapshots.findIndex(snapshot => snapshot.step === message.step);
    show(index < 0 || index === shown ? null : index);
    choose();
  };
  return button;
}

const tenth_of = message => Math.min(THUMBNAILS - 1, Math.floor((message.progress || 0) * THUMBNAILS));

function remember(message) {
  // One thumbnail per tenth of the run, and one of the last image.
  const strip = find('.strip'), last = strip.lastChild, over = message.state !== 'running';
  // Progress may fall back when a run's plan grows.
  const again = last && tenth_of(message) <= Number(last.dataset.tenth);
  if (!again || over) {
    const button = thumbnail(message);
    if (again) { button.dataset.tenth = last.dataset.tenth; last.remove(); }
    strip.append(button);
  }
  seen += 1;
  if (seen % stride === 0 || over || !again) snapshots.push({ step: message.step, picture: message.picture });
  if (snapshots.length > MAX_SNAPSHOTS) {
    const kept = new Set([...strip.children].map(button => Number(button.dataset.step)));
    const chosen = shown === null ? null : snapshots[shown].step;
    snapshots = snapshots.filter((snapshot, i) => i % 2 === 0 || kept.has(snapshot.step) || snapshot.step === chosen);
    shown = chosen === null ? null : snapshots.findIndex(snapshot => snapshot.step === chosen);
    stride *= 2;
  }
  scrub.max = snapshots.length - 1;
  scrub.value = shown === null ? snapshots.length - 1 : shown;
}

function forget_snapshots() {
  snapshots = []; stride = 1; seen = 0; shown = null;
  view.dataset.chosen = 0;
  find('.strip').replaceChildren();
  find('.scrub output').textContent = '';
}

async function receive(message) {
  if (!message || !message.state) return;
  if (message.state === 'ready') {
    // Without a run, show the chosen photo, if any.
    run = ''; range.value = 0;
    forget_snapshots();
    view.dataset.state = 'ready';
    view.dataset.begun = false;
    view.dataset.original = Boolean(message.original);
    if (message.original) {
      await draw(after, message.original);
      await draw(before, message.original);
      place();
    }
    return;
  }
  // A canvas created during a run, such as when its tab is first opened, requests a full message.
  if (message.run !== run && !message.first) server.acknowledge(message.watcher, 0);
  if (message.run !== run || message.first) {
    run = message.run; latest = ''; range.value = 0;
    forget_snapshots();
    view.dataset.original = Boolean(message.original);
    if (message.original) await draw(before, message.original);
    if (!message.picture && message.original) await draw(after, message.original);
  } else if (message.original) {
    // The next image of a batch: earlier snapshots belong to another image.
    forget_snapshots();
    view.dataset.original = true;
    await draw(before, message.original);
  }
  if (message.picture) {
    latest = message.picture;
    if (shown === null) await draw(after, message.picture);
    remember(message);
    view.dataset.drawn = Number(view.dataset.drawn || 0) + 1;
  }
  // Last, so that a finished run already shows its last image.
  status(message);
  draw_curves(message.curves);
  place();
  server.acknowledge(message.watcher, message.number);
}

function drag(event) {
  if (['idle', 'ready'].includes(view.dataset.state) || !event.buttons) return;
  const box = after.getBoundingClientRect();
  range.value = 100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  place();
}

find('.well').addEventListener('pointerdown', drag);
find('.well').addEventListener('pointermove', drag);
range.addEventListener('input', place);
scrub.addEventListener('input', () => show(Number(scrub.value) >= snapshots.length - 1 ? null : Number(scrub.value)));
scrub.addEventListener('change', choose);
addEventListener('resize', place);
// Messages are handled one after another, in the order of their arrival.
const take = () => { const message = props.value; drawing = drawing.then(() => receive(message)).catch(console.error); };
watch('value', take);
take();
