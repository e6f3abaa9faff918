// Sketchpad for a digit, white on black; the value is a PNG, updated after each stroke.
const canvas = element.querySelector('canvas'), context = canvas.getContext('2d');
let last = null, drawn = false;

function clear() {
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
  drawn = false;
}
function stroke(event) {
  if (!event.buttons) return;
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  const here = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  context.strokeStyle = '#fff'; context.lineWidth = 22; context.lineCap = context.lineJoin = 'round';
  context.beginPath(); context.moveTo(...(last || here)); context.lineTo(...here); context.stroke();
  last = here; drawn = true;
}
canvas.addEventListener('pointerdown', event => { last = null; canvas.setPointerCapture(event.pointerId); stroke(event); });
canvas.addEventListener('pointermove', stroke);
canvas.addEventListener('pointerup', () => {
  last = null;
  if (!drawn) return;
  props.value = canvas.toDataURL('image/png');
  trigger('change');
});
element.querySelector('[data-clear]').onclick = () => { clear(); props.value = ''; trigger('change'); };
clear();
