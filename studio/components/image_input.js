// Row of example images: a click reports the index of its image.
element.addEventListener('click', event => {
  const button = event.target.closest('.thumbs button');
  if (button) trigger('pick', { index: [...button.parentElement.children].indexOf(button) });
});
