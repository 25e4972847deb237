// New events of the trail, as they are recorded: at the top for a reader who is there, else behind a button.
const trail = document.getElementById("trail");
const button = document.getElementById("live");
const state = document.getElementById("live-state");
const fresh = document.getElementById("fresh");
const { project, stream, type, actor } = trail.dataset;
const chosen = Object.entries({ stream, type, actor }).filter(([, value]) => value !== "");
const api = `/v1/projects/${encodeURIComponent(project)}`;
const pages = `/p/${encodeURIComponent(project)}`;
const MOST = 500; // that a page takes on; whoever comes back after more is better off with a new page
const OFF = "trail-live";
const WARNED = ["RunPaused", "ApprovalRequested", "SideEffectIntended"];
const TONES = {
  PASSED: "good", WARNED: "warn", FAILED: "bad", approved: "good", rejected: "bad",
  succeeded: "good", failed: "bad", canceled: "warn", unknown: "warn", rolled_back: "warn",
};
let source = null;
let after = Number(trail.dataset.after);
const heard = new Map(); // the events' data by position, until their sentences are there
let waiting = []; // shown when the reader asks
let taken = 0;
let reading = false;

function path(base, parameters) {
  const query = new URLSearchParams(parameters).toString();
  return query === "" ? base : `${base}?${query}`;
}

function toneOf({ type: kind, data }) {
  if (WARNED.includes(kind)) return "warn";
  if (kind === "TranscriptRecorded") return data.exit_code === 0 ? "neutral" : "bad";
  if (kind === "AttestationRecorded") return data.verified ? "good" : "warn";
  return TONES[data.result ?? data.decision ?? data.outcome] ?? "neutral";
}

// What an event is about: the words of its sentence before the colon, and the page of that.
function thingOf({ stream: name, version, data }) {
  const of = data.artifact ?? data.record ?? name;
  const number = data.artifact_version ?? data.record_version ?? version;
  const rest = of.split("/").slice(1);
  const below = rest.map(encodeURIComponent).join("/");
  const erased = data.artifact ? `erased ${of} version ${number}` : `erased a content of ${of} version ${number}`;
  if (of.startsWith("run/")) return { words: of === name ? `run ${rest[0]}` : erased, href: `${pages}/runs/${below}` };
  if (!of.startsWith("artifact/")) return null;
  const words = of === name ? `${rest.join("/")} version ${number}` : erased;
  return { words, href: path(`${pages}/artifacts/${below}`, { version: number }) };
}

function rowOf(event) {
  const row = document.getElementById("event-row").content.firstElementChild.cloneNode(true);
  const stored = heard.get(event.position) ?? { ...event, data: {} };
  heard.delete(event.position);
  const put = (name, text, href) => {
    const part = row.querySelector(name);
    part.textContent = text;
    if (href !== undefined) part.href = href;
    return part;
  };
  row.className = `${toneOf(stored)} new`;
  row.dataset.position = event.position;
  put(".said", event.summary, `${pages}/events/${event.position}`);
  put(".actor", event.actor, path(`${pages}/trail`, { ...Object.fromEntries(chosen), actor: event.actor }));
  put(".chip", event.type, path(`${pages}/trail`, { ...Object.fromEntries(chosen), type: event.type }));
  put(".number", `#${event.position}`);
  const time = put("time", event.time.slice(11, 19));
  time.dateTime = event.time;
  time.title = `${event.time.slice(0, 19).replace("T", " ")} UTC`;
  const thing = thingOf(stored);
  if (thing !== null && event.summary.startsWith(`${thing.words}: `)) {
    put(".thing", thing.words, thing.href);
    put(".said", event.summary.slice(thing.words.length + 2));
  } else {
    row.querySelector(".thing").remove();
    row.querySelector(".colon").remove();
  }
  return row;
}

function listOf(day) {
  const first = trail.firstElementChild;
  if (first?.dataset.day === day) return first.querySelector("ol");
  const made = document.getElementById("event-day").content.firstElementChild.cloneNode(true);
  const time = made.querySelector("time");
  const say = (options) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }).format(new Date(day));
  made.dataset.day = day;
  time.dateTime = day;
  time.textContent = `${say({ weekday: "long" })}, ${say({ day: "numeric", month: "long", year: "numeric" })}`;
  trail.prepend(made);
  return made.querySelector("ol");
}

const atTop = () => scrollY < 40;
const counted = (number) => `${number} new ${number === 1 ? "event" : "events"}`;

function insert(events) {
  document.getElementById("nothing")?.remove();
  for (const event of events) listOf(event.time.slice(0, 10)).prepend(rowOf(event));
  taken += events.length;
  if (taken > MOST) stop(`More than ${MOST} events came: load the page again to go on.`);
}

function offer(events) {
  if (atTop() && waiting.length === 0) {
    insert(events);
    state.textContent = `${counted(events.length)} at the top.`;
    return;
  }
  waiting.push(...events);
  fresh.textContent = counted(waiting.length);
  fresh.hidden = false;
  state.textContent = `${counted(waiting.length)} to be shown.`;
  if (waiting.length > MOST) stop(`More than ${MOST} events came: load the page again to go on.`);
}

// The stream tells that something is new, and its data; the sentences are read behind it.
async function read() {
  if (reading) return;
  reading = true;
  try {
    while (source !== null && Math.max(0, ...heard.keys()) > after) {
      const answer = await fetch(path(`${api}/trail`, [["after", after], ["limit", 100], ...chosen]));
      if (!answer.ok) throw new Error(answer.statusText);
      const { items } = await answer.json();
      if (items.length === 0) break;
      after = items.at(-1).position;
      offer(items);
    }
  } catch {
    state.textContent = "New events could not be read; the next one tries again.";
  } finally {
    reading = false;
  }
}

function start() {
  source = new EventSource(path(`${api}/events`, [["after", after], ...chosen]));
  button.setAttribute("aria-pressed", "true");
  let wait;
  source.onopen = () => {
    state.textContent = "New events appear as they are recorded.";
  };
  source.onmessage = ({ lastEventId, data }) => {
    if (Number(lastEventId) <= after) return;
    heard.set(Number(lastEventId), JSON.parse(data));
    clearTimeout(wait);
    wait = setTimeout(read, 100); // a batch comes as many messages
  };
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) stop("The connection ended: load the page again.");
    else state.textContent = "Connecting …";
  };
}

function stop(why) {
  source?.close();
  source = null;
  button.setAttribute("aria-pressed", "false");
  state.textContent = why;
}

function remember(off) {
  try {
    if (off) localStorage.setItem(OFF, "off");
    else localStorage.removeItem(OFF);
  } catch {
    // Storage may be forbidden; then it is on with each page.
  }
}

function wanted() {
  try {
    return localStorage.getItem(OFF) === null;
  } catch {
    return true;
  }
}

button.hidden = false;
button.addEventListener("click", () => {
  const on = source !== null;
  remember(on);
  if (on) stop("New events wait until this is on again.");
  else start();
});
fresh.addEventListener("click", () => {
  const events = waiting;
  waiting = [];
  fresh.hidden = true;
  insert(events);
  scrollTo({ top: 0 });
  trail.querySelector(".said").focus();
});
if (wanted()) start();
else stop("New events are not shown.");
