// Wall of small images cut from one sheet; a click reports the index.
const wall = element.querySelector('.wall');
let drawing = Promise.resolve();

const spoken = (index, standing) => standing == null ? phrase('Face {number}', { number: index + 1 })
  : phrase('Face {number}: the discriminator rates it as more realistic than {standing}% of photos', { number: index + 1, standing });

async function draw(value) {
  const { sheet, columns, size, standings = [], chosen = 0 } = value || {};
  if (!sheet) return;
  const bitmap = await createImageBitmap(await (await fetch(sheet)).blob());
  while (wall.children.length > standings.length) wall.lastChild.remove();
  while (wall.children.length < standings.length) {
    const index = wall.children.length, button = document.createElement('button');
    button.type = 'button';
    button.append(document.createElement('canvas'), document.createElement('span'));
    button.onclick = () => { choose(index); trigger('pick', { index }); };
    wall.append(button);
  }
  for (const [index, button] of [...wall.children].entries()) {
    const canvas = button.querySelector('canvas'), standing = standings[index];
    canvas.width = canvas.height = size;
    canvas.getContext('2d').drawImage(bitmap, (index % columns) * size, Math.floor(index / columns) * size,
      size, size, 0, 0, size, size);
    button.querySelector('span').textContent = standing == null ? '' : `${standing}%`;
    button.title = spoken(index, standing);
    button.setAttribute('aria-label', button.title);
  }
  bitmap.close();
  choose(chosen);
  wall.dataset.drawn = Number(wall.dataset.drawn) + 1;
}

function choose(index) {
  for (const [i, button] of [...wall.children].entries()) button.setAttribute('aria-pressed', String(i === index));
}

// Arrow keys move between images.
wall.addEventListener('keydown', event => {
  const buttons = [...wall.children], at = buttons.indexOf(document.activeElement);
  const across = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (at < 0 || !by || !buttons[at + by]) return;
  event.preventDefault();
  buttons[at + by].focus();
  buttons[at + by].click();
});

const take = () => { const value = props.value; drawing = drawing.then(() => draw(value)).catch(console.error); };
watch('value', take);
take();
