// Shows one result, or two images with a movable divider.
const viewer = element.querySelector('.viewer'), find = selector => viewer.querySelector(selector);
const one = find('.one'), other = find('.other'), video = find('video'), text = find('.text');
const compare = find('.compare'), range = compare.querySelector('input');

function place() {
  // Scaled to fit the box; small images are enlarged.
  const room = find('.well');
  for (const shown of [one, other, video]) {
    const width = shown.naturalWidth || shown.videoWidth, height = shown.naturalHeight || shown.videoHeight;
    if (shown.hidden || !width) continue;
    const scale = Math.min(room.clientWidth / width, room.clientHeight / height);
    shown.style.width = `${width * scale}px`;
    shown.style.height = `${height * scale}px`;
  }
  if (other.hidden) return;
  // The divider is in the first image's coordinates; the second may be wider or narrower.
  const box = one.getBoundingClientRect(), over = other.getBoundingClientRect();
  const line = box.left + box.width * Number(range.value) / 100;
  other.style.clipPath = `inset(0 0 0 ${Math.min(over.width, Math.max(0, line - over.left))}px)`;
  find('.divider').style.left = `${line - room.getBoundingClientRect().left}px`;
}

function show() {
  const value = props.value || {};
  viewer.dataset.kind = value.kind || 'none';
  const pictures = value.kind === 'picture' || value.kind === 'compare';
  one.hidden = !pictures; other.hidden = value.kind !== 'compare';
  video.hidden = value.kind !== 'video'; text.hidden = !['text', 'damaged'].includes(value.kind);
  compare.hidden = value.kind !== 'compare';
  if (pictures) one.src = value.url; else one.removeAttribute('src');
  one.alt = value.title || '';
  if (value.kind === 'compare') {
    other.src = value.other;
    find('.left-name').textContent = value.left; find('.right-name').textContent = value.right;
    range.setAttribute('aria-label', value.between);
    range.value = 50;
  } else other.removeAttribute('src');
  if (value.kind === 'video') video.src = value.url; else { video.pause(); video.removeAttribute('src'); }
  text.textContent = value.text || '';
  find('figcaption').textContent = value.facts || '';
  if (value.kind && value.fresh !== viewer.dataset.fresh) {
    viewer.dataset.fresh = value.fresh || '';
    if (viewer.getBoundingClientRect().top < 0) viewer.scrollIntoView({ block: 'start' });
    // Focus the result, for keyboard users and screen readers.
    if (value.between) viewer.setAttribute('aria-label', value.between);
    else viewer.removeAttribute('aria-label');
    viewer.focus({ preventScroll: true });
  }
  place();
}

function drag(event) {
  if (viewer.dataset.kind !== 'compare' || !event.buttons) return;
  const box = one.getBoundingClientRect();
  range.value = 100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  place();
}

find('.well').addEventListener('pointerdown', drag);
find('.well').addEventListener('pointermove', drag);
for (const picture of [one, other]) picture.addEventListener('load', place);
video.addEventListener('loadedmetadata', place);
range.addEventListener('input', place);
addEventListener('resize', place);
watch('value', show);
show();
