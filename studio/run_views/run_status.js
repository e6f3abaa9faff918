// Common to all run views: status, progress and curves of a run.
const view = element.querySelector('.run-view');
const find = selector => view.querySelector(selector);
const seconds = s => s == null ? '' : s < 1 ? phrase('under 1 s')
  : s < 90 ? phrase('{seconds} s', { seconds: Math.round(s) }) : phrase('{minutes} min', { minutes: Math.round(s / 60) });
const stopped = after => view.dataset.makes === 'text' ? phrase('stopped after {time}, text kept', { time: after })
  : phrase('stopped after {time}, image kept', { time: after });

function status(message) {
  const words = {
    waiting: message.before ? phrase('waiting: {count} ahead of you', { count: message.before }) : phrase('starting'),
    running: message.note || (message.step ? phrase('step {step} of {total}', message) : phrase('starting')),
    done: phrase('done in {time}', { time: seconds(message.seconds) }),
    stopped: message.why || (message.step ? stopped(seconds(message.seconds)) : phrase('stopped')),
    failed: message.error || phrase('failed'),
  };
  view.dataset.state = message.state;
  view.dataset.begun = ['running', 'done', 'stopped'].includes(message.state);
  view.dataset.alarm = message.state === 'running' && message.alarm;
  find('.note').textContent = words[message.state] || '';
  find('.track i').style.width = `${100 * (message.progress || 0)}%`;
  const waiting = message.state === 'waiting';
  find('.left').textContent = message.left == null ? (waiting && message.before ? phrase('wait time unknown') : '')
    : waiting ? phrase('about {time}', { time: seconds(message.left) }) : phrase('{time} left', { time: seconds(message.left) });
  const loss = message.metrics?.loss;
  find('.loss').textContent = loss == null ? '' : phrase('loss {loss}', { loss: loss.toPrecision(3) });
  find('.where').textContent = message.where ? phrase('on {machine}', { machine: message.where }) : '';
  speak(message);
}

// Announced at the start, every tenth and the end; the visible text changes far more often.
let spoken = '';
function speak({ state, run, progress }) {
  const words = [find('.note'), find('.left')].map(part => part.textContent).filter(Boolean).join(', ');
  const mark = state === 'running' ? [run, view.dataset.alarm, Math.floor(10 * (progress || 0))].join() : run + words;
  if (mark === spoken) return;
  spoken = mark;
  find('.aloud').textContent = words;
}

// Each curve is scaled to the full height, logarithmically if it spans more than about a decade.
function draw_curves(curves) {
  const names = Object.keys(curves || {}).filter(name => curves[name].length > 1);
  view.dataset.curves = names.length;
  const svg = find('.curve svg'), legend = find('.legend');
  const lines = names.map((name, i) => {
    const values = curves[name], low = Math.min(...values), high = Math.max(...values);
    const scale = low > 0 && high / low > 20 ? Math.log : x => x;
    const span = scale(high) - scale(low) || 1;
    const points = values.map((value, k) =>
      `${(600 * k / (values.length - 1)).toFixed(1)},${(116 - 112 * (scale(value) - scale(low)) / span).toFixed(1)}`);
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
    line.setAttribute('points', points.join(' '));
    line.setAttribute('class', `curve-${i % 7}`);
    return line;
  });
  svg.replaceChildren(...lines);
  legend.replaceChildren(...names.map((name, i) => {
    const item = document.createElement('li'), values = curves[name];
    item.className = `curve-${i % 7}`;
    item.textContent = phrase('{curve}: from {first} to {last}', {
      curve: name, first: values[0].toPrecision(3), last: values[values.length - 1].toPrecision(3),
    });
    return item;
  }));
}
