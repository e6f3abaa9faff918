// Show a message when the server cannot be reached; otherwise buttons would silently do nothing.
const unreachable = element.querySelector('.unreachable');
// Requests of events only; missing images are visible anyway.
const ASKED = /\/gradio_api\/(queue|run|call|component_server|upload)\b/;
const AGAIN_MILLISECONDS = 1500;
const ask = window.fetch.bind(window);
let next = 0;

// Gradio's own errors are JSON; those of a proxy or another server are not, or are 404.
const is_of_the_studio = answer =>
  answer.status !== 404 && /json|event-stream/.test(answer.headers.get('content-type'));

function tell(reached) {
  clearTimeout(next);
  unreachable.hidden = reached;
  if (!reached) next = setTimeout(look, AGAIN_MILLISECONDS);
}

async function look() {
  try {
    tell(is_of_the_studio(await ask(`${window.gradio_config.root}/gradio_api/startup-events`)));
  } catch (error) {
    tell(false);
  }
}

window.fetch = async (...request) => {
  if (!ASKED.test(request[0]?.url ?? request[0])) return ask(...request);
  try {
    const answer = await ask(...request);
    if (!is_of_the_studio(answer)) tell(false);
    return answer;
  } catch (error) {
    if (error.name !== 'AbortError') tell(false);
    throw error;
  }
};
look();
