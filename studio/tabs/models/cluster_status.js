// Cluster status, polled while it is visible.
const cluster = element.querySelector('.cluster'), part = name => cluster.querySelector(name);
const EVERY_MILLISECONDS = 2000;
let looked = false, next = 0;

function write(place, text) {
  // Update only what changed, so that screen readers do not repeat it and selections survive.
  if (place.textContent !== text) place.textContent = text;
}

function put(parent, tag, text, kind = '') {
  const child = document.createElement(tag);
  child.textContent = text;
  child.className = kind;
  parent.append(child);
  return child;
}

function row({ title, has, runs, warm, refused }) {
  const line = document.createElement('tr'), machine = put(line, 'th', title), work = put(line, 'td', '');
  machine.scope = 'row';
  if (has) put(machine, 'span', has);
  for (const run of runs) put(work, 'div', run);
  if (refused) put(work, 'div', refused, 'refused');
  if (!work.firstChild) put(work, 'div', phrase('nothing'), 'idle');
  put(line, 'td', warm);
  return line;
}

function draw({ said, machines, waiting }) {
  write(part('.said'), said.join(' '));
  write(part('.waiting'), waiting);
  const written = JSON.stringify(machines);
  if (cluster.dataset.machines !== written) part('tbody').replaceChildren(...machines.map(row));
  cluster.dataset.machines = written;
  part('table').hidden = !machines.length;
}

async function renew() {
  clearTimeout(next);
  if (!looked || document.hidden) return;
  try {
    draw(await server.cluster_now([]));
  } catch (error) {
    // No response: keep the old status and try again.
  }
  clearTimeout(next);
  next = setTimeout(renew, EVERY_MILLISECONDS);
}

new IntersectionObserver(seen => { looked = seen.at(-1).isIntersecting; renew(); }).observe(cluster);
document.addEventListener('visibilitychange', renew);
