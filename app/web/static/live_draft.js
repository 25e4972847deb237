// A draft as it is written (docs/drafts.md, "Watching"): blocks come as server-sent events and take their places.
import { become } from "./become.js";
import { nodesOf } from "./trusted.js";

const text = document.getElementById("draft");
const bar = document.getElementById("draft-bar");
const state = document.getElementById("draft-state");
const size = document.getElementById("draft-size");
const AT_THE_END = 80; // pixels
const LONGEST_WAIT = 30_000;
const HIDDEN_WAIT = 500; // a page that nobody sees gets no animation frames

let source;
let ended = false;
let wait = 1_000;
let offset = 0;
let due = null;
let cut = null;
const waiting = new Map(); // blocks by their numbers, the newest of each

function tell(...what) {
  if (state.textContent === what.map((each) => each.textContent ?? each).join("")) return;
  state.replaceChildren(...what);
}

function amount(bytes) {
  if (bytes < 1_024) return `${bytes} bytes`;
  return bytes < 1_048_576
    ? `${(bytes / 1_024).toFixed(1)} KiB`
    : `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

function isAtTheEnd() {
  const page = document.documentElement;
  return page.scrollHeight - page.clientHeight - page.scrollTop < AT_THE_END;
}

// Show what has come. Whoever reads at the end is kept there, and nobody else is moved.
function show() {
  due = null;
  const follows = isAtTheEnd();
  if (cut !== null) while (text.children.length > cut) text.lastElementChild.remove();
  for (const index of [...waiting.keys()].sort((one, other) => one - other)) {
    while (text.children.length <= index) {
      text.append(Object.assign(document.createElement("div"), { className: "block" }));
    }
    become(text.children[index], nodesOf(waiting.get(index)));
  }
  cut = null;
  waiting.clear();
  size.textContent = amount(offset);
  if (follows) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}

function later() {
  if (due !== null) return;
  due = document.hidden
    ? { timer: setTimeout(show, HIDDEN_WAIT) }
    : { frame: requestAnimationFrame(show) };
}

function now() {
  if (due === null) return;
  if ("timer" in due) clearTimeout(due.timer);
  else cancelAnimationFrame(due.frame);
  show();
}

function end(...what) {
  ended = true;
  source.close();
  now();
  text.setAttribute("aria-busy", "false");
  bar.classList.add("ended");
  tell(...what);
}

function committed(version) {
  const place = text.dataset.versions + version;
  const link = Object.assign(document.createElement("a"), { href: place, textContent: "open it" });
  end(`Committed as version ${version} – `, link);
  history.replaceState(null, "", place);
  document.title = document.title.replace(", being written", `, version ${version}`);
}

function discarded() {
  end("Discarded: nothing of it was recorded");
}

// The browser comes back by itself after a lost connection, and not after an answer that was a problem.
async function lost() {
  if (ended) return;
  bar.classList.add("away");
  tell("Reconnecting");
  if (source.readyState !== EventSource.CLOSED) return;
  await new Promise((resolve) => setTimeout(resolve, wait));
  wait = Math.min(wait * 2, LONGEST_WAIT);
  const answer = await fetch(text.dataset.draft).catch(() => null);
  if (answer?.status === 401 || answer?.status === 403) {
    const back = encodeURIComponent(location.pathname);
    const link = { href: `/sign-in?next=${back}`, textContent: "sign in" };
    end("The session has ended – ", Object.assign(document.createElement("a"), link));
  } else if (answer?.status === 404 || answer?.status === 410) {
    discarded();
  } else {
    watch();
  }
}

function watch() {
  source = new EventSource(`${text.dataset.draft}/stream`);
  source.addEventListener("open", () => {
    wait = 1_000;
    bar.classList.remove("away");
    tell(`Being written by ${text.dataset.actor}`);
  });
  source.addEventListener("error", lost);
  source.addEventListener("block", (event) => {
    const { i, html } = JSON.parse(event.data);
    offset = Number(event.lastEventId);
    waiting.set(i, html);
    later();
  });
  source.addEventListener("truncate", (event) => {
    const { n } = JSON.parse(event.data);
    for (const index of waiting.keys()) if (index >= n) waiting.delete(index);
    cut = Math.min(cut ?? n, n);
    later();
  });
  source.addEventListener("commit", (event) => committed(JSON.parse(event.data).version));
  source.addEventListener("abort", discarded);
}

document.addEventListener("visibilitychange", now);
watch();
