// Cards of the Home tab: a click reports the tab of its card.
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-tab]');
  if (button) trigger('pick', { tab: button.dataset.tab });
});
