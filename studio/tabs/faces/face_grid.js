// Grid of small images cut from one sheet; a click reports the index.
const grid = element.querySelector('.face-grid');
let drawing = Promise.resolve();

const spoken = (index, score_percentile) => score_percentile == null ? phrase('Face {number}', { number: index + 1 })
  : phrase('Face {number}: the discriminator rates it as more realistic than {score_percentile}% of photos', { number: index + 1, score_percentile });

async function draw(value) {
  const { sheet, columns, size, score_percentiles = [], chosen = 0 } = value || {};
  if (!sheet) return;
  const bitmap = await createImageBitmap(await (await fetch(sheet)).blob());
  while (grid.children.length > score_percentiles.length) grid.lastChild.remove();
  while (grid.children.length < score_percentiles.length) {
    const index = grid.children.length, button = document.createElement('button');
    button.type = 'button';
    button.append(document.createElement('canvas'), document.createElement('span'));
    button.onclick = () => { choose(index); trigger('pick', { index }); };
    grid.append(button);
  }
  for (const [index, button] of [...grid.children].entries()) {
    const canvas = button.querySelector('canvas'), score_percentile = score_percentiles[index];
    canvas.width = canvas.height = size;
    canvas.getContext('2d').drawImage(bitmap, (index % columns) * size, Math.floor(index / columns) * size,
      size, size, 0, 0, size, size);
    button.querySelector('span').textContent = score_percentile == null ? '' : `${score_percentile}%`;
    button.title = spoken(index, score_percentile);
    button.setAttribute('aria-label', button.title);
  }
  bitmap.close();
  choose(chosen);
  grid.dataset.drawn = Number(grid.dataset.drawn) + 1;
}

function choose(index) {
  for (const [i, button] of [...grid.children].entries()) button.setAttribute('aria-pressed', String(i === index));
}

// Arrow keys move between images.
grid.addEventListener('keydown', event => {
  const buttons = [...grid.children], at = buttons.indexOf(document.activeElement);
  const across = getComputedStyle(grid).gridTemplateColumns.split(' ').length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (at < 0 || !by || !buttons[at + by]) return;
  event.preventDefault();
  buttons[at + by].focus();
  buttons[at + by].click();
});

const take = () => { const value = props.value; drawing = drawing.then(() => draw(value)).catch(console.error); };
watch('value', take);
take();
