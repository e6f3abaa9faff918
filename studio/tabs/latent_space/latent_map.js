// Map of a latent plane. All tiles are sent once; under the pointer the browser interpolates between the four nearest
// tiles. A click asks the server for the exact image.
const root = element.querySelector('.explorer');
const find = selector => root.querySelector(selector);
const map = find('.tiles'), marks = find('.marks'), big = find('.big');
const COLORS = ['#e6194b', '#f58231', '#ffe119', '#3cb44b', '#42d4f4', '#4363d8', '#911eb4', '#f032e6', '#a9744f', '#e8e8e8'];
const LARGE = 760;
let source = '', sprite = null, pixels = null, overlay = null, overlay_source = '', exact_source = '';
let point = null, frame = 0, mode = 'look', dotted = true;

const value = () => props.value || {};
const small = document.createElement('canvas');

// Convert between latent values and tile coordinates along the axis; 0 is the centre of the first tile.
function position(z) {
  const axis = value().axis, last = axis.length - 1;
  if (last < 1) return 0;
  let i = 0;
  while (i < last - 1 && axis[i + 1] <= z) i++;
  return i + (z - axis[i]) / (axis[i + 1] - axis[i]);
}
function value_at(place) {
  const axis = value().axis, last = axis.length - 1;
  if (last < 1) return axis[0];
  const i = Math.max(0, Math.min(last - 1, Math.floor(place)));
  return axis[i] + (place - i) * (axis[i + 1] - axis[i]);
}
const on_map = ([x, y]) => {
  const tile = LARGE / value().axis.length;
  return [(position(x) + 0.5) * tile, LARGE - (position(y) + 0.5) * tile];
};
function under(event) {
  const box = map.getBoundingClientRect(), count = value().axis.length, last = count - 1;
  const clamp = place => Math.max(0, Math.min(last, place));
  const x = clamp((event.clientX - box.left) / box.width * count - 0.5);
  const y = clamp((box.bottom - event.clientY) / box.height * count - 0.5);
  return [value_at(x), value_at(y)];
}

// Bilinear interpolation between the four nearest tiles.
function blend([x, y]) {
  const { axis, size } = value(), count = axis.length, last = count - 1;
  const clamp = place => Math.max(0, Math.min(last, place));
  const column = clamp(position(x)), row = clamp(last - position(y));
  const c = Math.min(Math.max(last - 1, 0), Math.floor(column)), r = Math.min(Math.max(last - 1, 0), Math.floor(row));
  const c2 = Math.min(last, c + 1), r2 = Math.min(last, r + 1), u = column - c, v = row - r;
  const image = new ImageData(size, size), width = count * size;
  for (let j = 0; j < size; j++) for (let i = 0; i < size; i++) {
    const a = pixels[(r * size + j) * width + c * size + i], b = pixels[(r * size + j) * width + c2 * size + i];
    const d = pixels[(r2 * size + j) * width + c * size + i], e = pixels[(r2 * size + j) * width + c2 * size + i];
    const grey = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * e), k = 4 * (j * size + i);
    image.data[k] = image.data[k + 1] = image.data[k + 2] = grey; image.data[k + 3] = 255;
  }
  small.width = small.height = size;
  small.getContext('2d').putImageData(image, 0, 0);
  show(small);
}

function show(picture) {
  const context = big.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, big.width, big.height);
}

function say(z, how) {
  const words = z.map(number => number.toFixed(2).replace('-', '−'));
  find('.place').textContent = `z = (${words.join(', ')})`;
  find('.how').textContent = how;
}
// Announced for clicks only, not for pointer moves.
const say_aloud = words => { find('.aloud').textContent = words; };

function look() {
  frame = 0;
  if (!point || !pixels) return;
  blend(point);
  say(point, phrase('interpolated from the map'));
  root.dataset.drawn = Number(root.dataset.drawn) + 1;
}

function draw_marks() {
  const context = marks.getContext('2d'), { dots = [], ellipse, waypoints = [], z, axis } = value();
  marks.width = marks.height = LARGE;
  if (!axis) return;
  if (overlay) { context.globalAlpha = 0.72; context.imageSmoothingEnabled = false; context.drawImage(overlay, 0, 0, LARGE, LARGE); }
  context.globalAlpha = 0.85;
  for (const [x, y, label] of dotted ? dots : []) {
    const [left, top] = on_map([x, y]);
    if (left < 0 || top < 0 || left > LARGE || top > LARGE) continue;
    context.fillStyle = COLORS[label % COLORS.length];
    context.beginPath(); context.arc(left, top, 2.6, 0, 7); context.fill();
  }
  context.globalAlpha = 1;
  if (waypoints.length) {
    context.strokeStyle = context.fillStyle = '#fff'; context.lineWidth = 2.5; context.beginPath();
    waypoints.forEach((z, i) => context[i ? 'lineTo' : 'moveTo'](...on_map(z)));
    context.stroke();
    waypoints.forEach((z, i) => {
      const [x, y] = on_map(z);
      context.fillStyle = '#c2410c'; context.beginPath(); context.arc(x, y, 11, 0, 7); context.fill();
      context.fillStyle = '#fff'; context.font = '600 13px system-ui'; context.textAlign = 'center';
      context.fillText(String(i + 1), x, y + 4.5);
    });
  }
  if (ellipse) {
    const [x, y] = on_map(ellipse.mean), spread = ellipse.deviations.map((s, i) => {
      const edge = [...ellipse.mean]; edge[i] += 2 * s;
      return Math.max(5, Math.abs(on_map(edge)[i] - [x, y][i]));
    });
    context.strokeStyle = '#000'; context.lineWidth = 5;
    for (const style of ['#000', '#fff']) {
      context.strokeStyle = style; context.lineWidth = style === '#000' ? 5 : 2.5;
      context.beginPath(); context.ellipse(x, y, spread[0], spread[1], 0, 0, 7); context.stroke();
    }
  }
  if (z) {
    const [x, y] = on_map(z);
    for (const [style, width] of [['#000', 5], ['#fff', 2.2]]) {
      context.strokeStyle = style; context.lineWidth = width; context.beginPath();
      context.moveTo(x - 12, y); context.lineTo(x + 12, y); context.moveTo(x, y - 12); context.lineTo(x, y + 12); context.stroke();
    }
  }
}

const bitmap = async uri => createImageBitmap(await (await fetch(uri)).blob());

async function take() {
  const { tiles, axis, size, classes = [], exact, z, overlay: shade = '' } = value();
  if (!tiles) return;
  if (tiles !== source) {
    source = tiles;
    sprite = await bitmap(tiles);
    const sheet = document.createElement('canvas');
    sheet.width = sprite.width; sheet.height = sprite.height;
    const context = sheet.getContext('2d', { willReadFrequently: true });
    context.drawImage(sprite, 0, 0);
    const data = context.getImageData(0, 0, sprite.width, sprite.height).data;
    pixels = new Uint8Array(sprite.width * sprite.height);
    for (let i = 0; i < pixels.length; i++) pixels[i] = data[4 * i];
    map.width = map.height = LARGE;
    map.getContext('2d').drawImage(sprite, 0, 0, LARGE, LARGE);
    const middle = axis.length >> 1, ticks = [0, middle >> 1, middle, (middle + axis.length - 1) >> 1, axis.length - 1];
    find('.across').replaceChildren(...ticks.map(i => {
      const tick = document.createElement('span');
      tick.textContent = axis[i].toFixed(1).replace('-', '−'); tick.style.left = `${100 * (i + 0.5) / axis.length}%`;
      return tick;
    }));
    find('.classes').replaceChildren(...classes.map((name, i) => {
      const item = document.createElement('li');
      item.textContent = name; item.style.setProperty('--dot', COLORS[i % COLORS.length]);
      return item;
    }));
  }
  if (shade !== overlay_source) { overlay_source = shade; overlay = shade ? await bitmap(shade) : null; }
  if (exact && exact !== exact_source) {
    exact_source = exact;
    show(await bitmap(exact));
    say(z, phrase('decoded exactly'));
    say_aloud(`${find('.place').textContent}, ${phrase('decoded exactly')}`);
    root.dataset.exact = Number(root.dataset.exact || 0) + 1;
  }
  draw_marks();
  root.dataset.state = 'ready';
  root.dataset.waypoints = (value().waypoints || []).length;
  root.dataset.dots = (value().dots || []).length;
}

map.addEventListener('pointermove', event => {
  if (!pixels) return;
  point = under(event);
  frame = frame || requestAnimationFrame(look);
});
map.addEventListener('pointerleave', () => { if (exact_source) { point = null; bitmap(exact_source).then(show); say(value().z, phrase('decoded exactly')); } });
map.addEventListener('click', event => {
  if (!pixels) return;
  const z = under(event);
  if (mode === 'walk') {
    place([...(value().waypoints || []), z].slice(-24));
  } else trigger('pick', { z });
});
map.addEventListener('keydown', event => {
  if (event.key === ' ' && mode === 'walk' && value().z) {
    event.preventDefault();
    place([...(value().waypoints || []), value().z].slice(-24));
    return;
  }
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }, move = moves[event.key];
  if (!move || !value().z) return;
  event.preventDefault();
  const edge = Math.abs(value().axis[0]);
  trigger('pick', { z: value().z.map((number, i) => Math.max(-edge, Math.min(edge, number + 0.05 * move[i]))) });
});
for (const button of root.querySelectorAll('[data-mode]')) button.onclick = () => {
  mode = button.dataset.mode;
  for (const other of root.querySelectorAll('[data-mode]')) other.setAttribute('aria-pressed', String(other === button));
};
function place(waypoints) {
  props.value = { ...value(), waypoints };
  say_aloud(`${waypoints.length} waypoint${waypoints.length === 1 ? '' : 's'}`);
  trigger('change');
  next();
}
find('[data-clear]').onclick = () => place([]);
find('[data-dots]').onclick = event => {
  dotted = !dotted;
  event.target.setAttribute('aria-pressed', String(dotted));
  draw_marks();
};
let taking = Promise.resolve();
const next = () => { taking = taking.then(take).catch(console.error); };
watch('value', next);
next();
