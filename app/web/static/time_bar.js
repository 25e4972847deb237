// The time slider tells position, time and event under the thumb, and goes there when it is let go.
const form = document.getElementById("time");
const range = document.getElementById("at");
const parts = Object.fromEntries(
  ["words", "position", "time", "said", "until"].map((name) => [name, document.getElementById(`at-${name}`)]),
);
const COMES_BACK = "time-focus";
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
    const time = event.time.slice(0, 19).replace("T", " ");
    parts.time.dateTime = event.time;
    parts.time.textContent = time;
    parts.time.title = event.summary;
    parts.said.textContent = event.summary;
    parts.said.title = event.summary;
    range.setAttribute("aria-valuetext", `${at}, ${time}`);
  } catch (error) {
    if (error.name !== "AbortError") parts.said.textContent = "";
  }
}

function show() {
  const newest = range.value === range.max;
  parts.words.textContent = newest ? "Now, at" : "As it stood at";
  parts.position.textContent = range.value;
  const width = parts.until.ownerSVGElement.viewBox.baseVal.width;
  parts.until.setAttribute("width", (width * (range.value - 1)) / (range.max - 1));
  range.setAttribute("aria-valuetext", range.value);
}

function go() {
  const place = new URL(form.action);
  for (const [name, value] of new FormData(form)) {
    // The newest position is now, and goes on with what is recorded next.
    if (name !== "at" || value !== range.max) place.searchParams.append(name, value);
  }
  try {
    sessionStorage.setItem(COMES_BACK, "yes");
  } catch {
    // Storage may be forbidden; then the keyboard begins at the head of the page again.
  }
  location.assign(place);
}

function takeUp() {
  try {
    if (sessionStorage.getItem(COMES_BACK) !== null) range.focus({ preventScroll: true });
    sessionStorage.removeItem(COMES_BACK);
  } catch {
    // As above.
  }
}

if (form !== null && range !== null && !range.disabled) {
  let wait;
  document.getElementById("at-go").hidden = true;
  takeUp();
  range.addEventListener("input", () => {
    show();
    clearTimeout(wait);
    wait = setTimeout(() => tell(Number(range.value)), 80);
  });
  // Arrow keys fire `change` at each step: wait for the last one.
  range.addEventListener("change", () => {
    clearTimeout(wait);
    tell(Number(range.value));
    wait = setTimeout(go, 350);
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    form.reset(); // the page comes back as it was left: with the thumb elsewhere
    show();
    tell(Number(range.value));
  });
}

const day = document.querySelector(".time-day");
day?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  day.open = false;
  day.querySelector("summary").focus();
});
