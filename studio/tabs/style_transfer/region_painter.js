// Regions painted on the photo, one colour per style image; the value holds them as a small PNG.
const root = element.querySelector('.regions'), canvas = root.querySelector('canvas'), pens = root.querySelector('.pens');
const width = root.querySelector('input'), context = canvas.getContext('2d');
const painted = document.createElement('canvas'), paint = painted.getContext('2d', { willReadFrequently: true });
let photo = null, source = '', pen = 0, last = null;

function redraw() {
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (photo) context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 0.6;
  context.drawImage(painted, 0, 0);
  context.globalAlpha = 1;
}

function choose(index) {
  pen = index;
  [...pens.children].forEach((button, i) => button.setAttribute('aria-pressed', String(i === pen)));
}

function offer(count, colors) {
  const button = (name, color, act) => {
    const chip = document.createElement('button');
    chip.type = 'button'; chip.textContent = name; chip.onclick = act;
    if (color) chip.style.setProperty('--pen', color);
    return chip;
  };
  const chips = colors.slice(0, count).map((color, i) => button(phrase('Style image {number}', { number: i + 1 }), color, () => choose(i)));
  chips.push(button(phrase('Erase'), '', () => choose(chips.length - 2)));
  chips.push(button(phrase('Clear'), '', () => { paint.clearRect(0, 0, painted.width, painted.height); redraw(); keep(); }));
  pens.replaceChildren(...chips);
  choose(Math.min(pen, count - 1));
}

async function show() {
  const value = props.value || {};
  if (value.photo && value.photo !== source) {
    source = value.photo;
    photo = await createImageBitmap(await (await fetch(source)).blob());
    for (const one of [canvas, painted]) { one.width = photo.width; one.height = photo.height; }
  }
  if (!value.painted && value.photo) paint.clearRect(0, 0, painted.width, painted.height);
  offer(value.count || 1, value.colors || []);
  root.dataset.count = value.count || 1;
  redraw();
}

function keep() {
  const pixels = paint.getImageData(0, 0, painted.width, painted.height).data;
  let any = false;
  for (let i = 3; i < pixels.length && !any; i += 4) any = pixels[i] > 127;
  props.value = { ...props.value, painted: any ? painted.toDataURL('image/png') : '' };
  root.dataset.painted = any;
  trigger('change');
}

function stroke(event) {
  if (!event.buttons || !photo) return;
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  const here = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  const value = props.value || {};
  paint.globalCompositeOperation = pen >= (value.count || 1) ? 'destination-out' : 'source-over';
  paint.strokeStyle = (value.colors || [])[pen] || '#000';
  paint.lineWidth = Number(width.value) * scale * 0.5; paint.lineCap = 'round';
  paint.beginPath(); paint.moveTo(...(last || here)); paint.lineTo(...here); paint.stroke();
  last = here;
  redraw();
}

canvas.addEventListener('pointerdown', event => { last = null; canvas.setPointerCapture(event.pointerId); stroke(event); });
canvas.addEventListener('pointermove', stroke);
canvas.addEventListener('pointerup', () => { last = null; keep(); });
watch('value', show);
show();
