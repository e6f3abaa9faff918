// A face that follows its sliders. A moved slider requests an image from the server; moves in the meantime are merged
// into the next request, so a slow link shows fewer images but no stale ones.
const root = element.querySelector('.faces');
let wanted = null, asking = false, version = 0, speaking = 0;

function enlarged(picture, canvas) {
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.globalCompositeOperation = 'copy';  // smoothed edges are slightly transparent
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function draw(name, uri) {
  const figure = root.querySelector(`.${name}`);
  if (!uri) { figure.hidden = true; return; }
  let picture = await createImageBitmap(await (await fetch(uri)).blob());
  const canvas = figure.querySelector('canvas');
  // Doubled repeatedly: a single enlargement would show the pixels as facets.
  for (let side = 2 * picture.width; side < canvas.width; side *= 2) {
    picture = enlarged(picture, new OffscreenCanvas(side, side));
  }
  enlarged(picture, canvas);
  figure.hidden = false;
}

async function show(picture, caption) {
  await draw('edited', picture);
  const line = root.querySelector('figcaption');
  line.hidden = !caption;
  line.textContent = caption || '';
  // Announced once the slider comes to rest.
  clearTimeout(speaking);
  speaking = setTimeout(() => { root.querySelector('.aloud').textContent = caption || ''; }, 700);
  root.dataset.drawn = Number(root.dataset.drawn) + 1;
}

async function take() {
  const { picture, original, caption } = props.value || {};
  await draw('original', original);
  if (picture) await show(picture, caption);
}

async function follow() {
  if (asking) return;
  asking = true;
  try {
    while (wanted) {
      const { network, first, second } = props.value || {}, sliders = wanted, asked = version;
      wanted = null;
      const answer = first ? await server.edited(network, first, second, sliders) : null;
      if (answer && asked === version) await show(answer.picture, answer.caption);
    }
  } finally { asking = false; }
}

root.addEventListener('moved', event => { wanted = event.detail; follow().catch(console.error); });
// Values are drawn in the order of their arrival.
let taking = Promise.resolve();
const next = () => { version += 1; taking = taking.then(take).catch(console.error); };
watch('value', next);
next();
