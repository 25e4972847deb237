// The time slider tells position and time under the thumb, and goes there when it is let go.
const form = document.querySelector(".time-bar");
const range = document.getElementById("at");
const position = document.getElementById("at-position");
const time = document.getElementById("at-time");
let asked;

async function tell(at) {
  asked?.abort();
  asked = new AbortController();
  const project = encodeURIComponent(form.dataset.project);
  try {
    const answer = await fetch(`/v1/projects/${project}/trail?after=${at - 1}&limit=1`, {
      signal: asked.signal,
    });
    if (!answer.ok) return;
    const [event] = (await answer.json()).items;
    if (event === undefined) return;
    time.dateTime = event.time;
    time.textContent = event.time.slice(0, 19).replace("T", " ");
    time.title = event.summary;
  } catch (error) {
    if (error.name !== "AbortError") time.textContent = "";
  }
}

if (form !== null && range !== null && !range.disabled) {
  let wait;
  document.getElementById("at-go").hidden = true;
  range.addEventListener("input", () => {
    position.textContent = range.value;
    clearTimeout(wait);
    wait = setTimeout(() => tell(Number(range.value)), 80);
  });
  // Arrow keys fire `change` at each step: wait for the last one.
  range.addEventListener("change", () => {
    clearTimeout(wait);
    wait = setTimeout(() => form.requestSubmit(), 350);
  });
}
