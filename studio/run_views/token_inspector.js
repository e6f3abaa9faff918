// Token inspector: the next-token distribution before and after temperature and filtering.
const panel = element.querySelector('.dice');
const find = selector => panel.querySelector(selector);
const share = value => value === 0 ? '0%' : value < 0.001 ? '< 0.1%' : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`;
// Names of invisible characters.
const seen = piece => piece === '' ? phrase('(end)') : piece.replaceAll('\n', '⏎').replace(/^ /, '␣').replace(/ $/, '␣');

function bar(kind, value, most) {
  const whole = document.createElement('i'), part = document.createElement('b');
  whole.className = kind;
  part.style.width = `${100 * value / most}%`;
  whole.append(part);
  return whole;
}

function draw(value) {
  panel.hidden = !value?.alternatives;
  if (panel.hidden) return;
  // A scored text has no temperature and no filtering.
  const reshaped = value.rewritable;
  const what = { piece: seen(value.piece), before: share(value.before), after: share(value.after) };
  find('.what').textContent = reshaped ? phrase('{piece}: model probability {before}, {after} after temperature and filtering', what)
    : phrase('{piece}: model probability {before}', what);
  // The longest bar fills its line, as in a flat distribution all are short.
  const most = Math.max(1e-9, ...value.alternatives.flatMap(([, before, after]) => reshaped ? [before, after] : [before]));
  find('.bars').replaceChildren(...value.alternatives.map(([piece, before, after, token]) => {
    const button = document.createElement('button'), name = document.createElement('span'), numbers = document.createElement('span');
    button.type = 'button';
    button.dataset.token = token;
    button.disabled = !value.rewritable;
    button.setAttribute('aria-pressed', String(token === value.token));
    name.className = 'name'; name.textContent = seen(piece);
    numbers.className = 'numbers'; numbers.textContent = share(before) + (reshaped ? ` → ${share(after)}` : '');
    const both = document.createElement('span');
    both.className = 'both';
    both.append(bar('before', before, most));
    if (reshaped) both.append(bar('after', after, most));
    button.append(name, both, numbers);
    const shares = { piece: seen(piece), before: share(before), after: share(after) };
    button.setAttribute('aria-label', reshaped ? phrase('{piece}: {before} before, {after} after', shares) : `${shares.piece}: ${shares.before}`);
    button.onclick = () => trigger('pick', { token });
    return button;
  }));
  const among = Math.max(1, 2 ** (reshaped ? value.entropy_after : value.entropy));
  const words = among < 100 ? among.toFixed(1) : Math.round(among).toLocaleString('en'), bits = value.entropy.toFixed(2);
  find('.entropy').textContent = reshaped
    ? phrase('Entropy: {bits} bits, {after} after temperature and filtering; as uncertain as choosing among {words} equally likely words.',
      { bits, after: value.entropy_after.toFixed(2), words })
    : phrase('Entropy: {bits} bits; as uncertain as choosing among {words} equally likely words.', { bits, words });
  panel.dataset.drawn = Number(panel.dataset.drawn) + 1;
}

const take = () => draw(props.value);
watch('value', take);
take();
