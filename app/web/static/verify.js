// Sends an export to `POST /v1/verify`, with its progress, and tells the report in words.
const form = document.getElementById("verify");
const zip = document.getElementById("zip");
const sidecar = document.getElementById("sidecar");
const drop = document.getElementById("drop");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const sending = document.getElementById("sending");
const doing = document.getElementById("doing");
const progress = document.getElementById("progress");
const verdict = document.getElementById("verdict");
const report = document.getElementById("report");

const STEPS = {
  shape: "The container",
  bag: "The lists of files",
  events: "The events",
  leaves: "Their leaf hashes",
  root: "The root of the log",
  blobs: "The contents",
  replay: "Files made again from the events",
  seal: "The seal",
  anchor: "The root that you know",
};
const SUMMARY = {
  origin: "Log",
  scope: "Scope",
  position: "Position",
  events: "Events",
  withheld: "Withheld events",
  erased: "Erased contents",
  files: "Files",
  root: "Root",
  manifest: "Manifest",
};
const HASH = /((?:sha256:)?[0-9a-f]{64})/;

function made(name, words, className) {
  const element = document.createElement(name);
  if (className !== undefined) element.className = className;
  element.append(...words);
  return element;
}

// A sentence with its hashes set apart, so that expected and found ones can be compared.
function sentence(text) {
  return text.split(HASH).map((part) => (HASH.test(part) ? made("code", [part], "hash") : part));
}

function say(state, words) {
  verdict.hidden = false;
  verdict.className = `verdict ${state}`;
  verdict.textContent = words;
}

function meaning({ state, sidecar: source, keys }) {
  const seal = source === "kept" ? "the seal that this ledger keeps of it" : "the seal that you gave";
  switch (state) {
    case "VERIFIED":
      return ["good", `VERIFIED: genuine and complete by ${seal}, and the root that you know vouches for it.`];
    case "VERIFIED-UNANCHORED":
      return ["good", `VERIFIED-UNANCHORED: genuine. By ${seal}, ${keys} made exactly this file; nothing outside the ledger vouches that it is the only history.`];
    case "INCOMPLETE":
      return ["warn", source === null
        ? "INCOMPLETE: it fits together, which anybody can bring about. There is no seal that says who made it."
        : "INCOMPLETE: nothing contradicts, and something could not be checked: see the steps."];
    default:
      return ["bad", "FAILED: it was changed, is another one, or is no export: see the steps."];
  }
}

function show(found, ownHash) {
  const [state, words] = meaning(found);
  say(state, words);
  const marks = new Map([[true, ["✓", "good", "holds"]], [false, ["✗", "bad", "fails"]], [null, ["–", "open", "could not run"]]]);
  document.getElementById("checks").replaceChildren(
    ...found.checks.map(({ id, ok, detail }) => {
      const [sign, className, word] = marks.get(ok);
      const mark = made("span", [sign], `mark ${className}`);
      mark.setAttribute("aria-hidden", "true");
      const said = made("span", sentence(detail), "soft");
      const spoken = made("span", [`: ${word}`], "out-of-sight");
      return made("li", [mark, made("span", [made("strong", [STEPS[id] ?? id]), spoken, said], "grow")], ok === false ? "failed" : undefined);
    }),
  );
  const facts = [];
  const add = (name, ...words) => facts.push(made("dt", [name]), made("dd", words));
  const code = (text) => made("code", [text], "hash");
  if (found.zip_sha256 !== null) add("SHA-256, as it arrived", code(found.zip_sha256));
  if (ownHash !== null) {
    const same = found.zip_sha256 === null || ownHash === found.zip_sha256;
    add("SHA-256, by your browser", code(ownHash), ` ${same ? "the same" : "another: it was changed on its way"}`);
  }
  for (const [name, title] of Object.entries(SUMMARY)) {
    const value = found.summary[name];
    if (value !== null && value !== undefined) add(title, ...sentence(String(value)));
  }
  document.getElementById("summary").replaceChildren(...facts);
  document.getElementById("notes").replaceChildren(...found.notes.map((note) => made("li", [note])));
  report.hidden = false;
}

// Over plain HTTP browsers give pages no digests: then there is none.
async function sha256(file) {
  if (globalThis.crypto?.subtle === undefined) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function posted(path, file, headers) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of what was sent
    request.open("POST", path);
    request.responseType = "json";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress.value = event.loaded / event.total;
    });
    request.upload.addEventListener("load", () => {
      progress.removeAttribute("value");
      doing.textContent = "Replaying and comparing …";
    });
    request.addEventListener("load", () => {
      const answer = request.response;
      if (request.status === 200 && answer !== null) resolve(answer);
      else reject(new Error(answer?.detail ?? `the ledger answers ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the connection broke off")));
    request.addEventListener("abort", () => reject(new Error("it was stopped")));
    stop.onclick = () => request.abort();
    request.send(file);
  });
}

async function verify() {
  const [file] = zip.files;
  const [seal] = sidecar.files;
  const { max, maxSidecar } = form.dataset;
  if (file === undefined) throw new Error("choose a ZIP first");
  if (file.size > Number(max)) throw new Error("the file is too large for this page; the command takes up to 64 GiB");
  if (seal !== undefined && seal.size > Number(maxSidecar)) throw new Error("the second file is too large for a seal");
  const query = new URLSearchParams({ sealed: "true" });
  const pin = document.getElementById("pin").value;
  if (pin.trim() !== "") query.set("pin", pin.includes("\n\n") ? `${pin.trimEnd()}\n` : pin.trim());
  const headers = { "Content-Type": "application/zip" };
  if (seal !== undefined) headers["Deedbook-Sidecar"] = await base64(seal);
  const [found, ownHash] = await Promise.all([
    posted(`/v1/verify?${query}`, file, headers),
    sha256(file).catch(() => null),
  ]);
  show(found, ownHash);
}

form.hidden = false;
document.getElementById("no-script").hidden = true;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  stop.hidden = sending.hidden = false;
  verdict.hidden = report.hidden = true;
  doing.textContent = "Sending …";
  progress.value = 0;
  try {
    await verify();
  } catch (error) {
    say("warn", `Nothing was verified: ${error.message}.`);
  }
  send.disabled = false;
  stop.hidden = sending.hidden = true;
});

const wanted = (event) => event.dataTransfer?.types.includes("Files");
for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => {
    if (!wanted(event)) return;
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  if (!wanted(event)) return;
  event.preventDefault();
  for (const file of [...event.dataTransfer.files].slice(0, 2)) {
    const given = new DataTransfer();
    given.items.add(file);
    (file.name.endsWith(".json") ? sidecar : zip).files = given.files;
  }
});
