// Says so when the page cannot reach its server: without that, whatever is pressed would do nothing, without a word.
const unreachable = element.querySelector('.unreachable');
// What buttons ask; pictures and the like are missed by whoever looks.
const ASKED = /\/gradio_api\/(queue|run|call|component_server|upload)\b/;
const AGAIN_MILLISECONDS = 1500;
const ask = window.fetch.bind(window);
let next = 0;

// Gradio refuses in JSON. A proxy, or whatever else is found at that address, does not, or knows no such address.
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
