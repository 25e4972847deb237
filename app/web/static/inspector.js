// Checks in the browser that an event is in the log: hashes from its bytes to the checkpoint's root
// (RFC 9162, section 2.1.3.2), and the checkpoint's Ed25519 signature (C2SP signed-note, tlog-proof).
const section = document.getElementById("inclusion");
const list = document.getElementById("proof");
const verdict = document.getElementById("verdict");
const pin = document.getElementById("pin");
const HASH_BYTES = 32;
const MAX_HASHES = 63;

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (one, other) => hex(one) === hex(other);
const short = (bytes) => `${hex(bytes).slice(0, 16)}…`;
const text = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

function decode64(word) {
  const bytes = Uint8Array.from(atob(word), (letter) => letter.charCodeAt(0));
  if (btoa(String.fromCharCode(...bytes)) !== word) throw new Error("a line is no base64");
  return bytes;
}

function hashIn(word) {
  const bytes = decode64(word);
  if (bytes.length !== HASH_BYTES) throw new Error("a line is no hash");
  return bytes;
}

function wholeNumber(word) {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(word)) throw new Error(`“${word}” is no number`);
  const number = Number(word);
  if (!Number.isSafeInteger(number)) throw new Error(`“${word}” is too large`);
  return number;
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? `${path} answers ${answer.status}`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

function parseProof(raw) {
  const [head, ...rest] = raw.split("\n\n");
  const note = rest.join("\n\n");
  const [name, index, ...hashes] = head.split("\n");
  if (name !== "c2sp.org/tlog-proof@v1" || !index?.startsWith("index ") || hashes.length > MAX_HASHES)
    throw new Error("what the ledger sent is no proof");
  return { index: wholeNumber(index.slice(6)), hashes: hashes.map(hashIn), ...parseNote(note) };
}

function parseNote(note) {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new Error("what the ledger sent has no checkpoint");
  const signed = note.slice(0, cut + 1);
  const lines = signed.split("\n");
  if (lines.length !== 4) throw new Error("a checkpoint has three lines");
  const signatures = note.slice(cut + 2, -1).split("\n").map((line) => {
    const found = /^— (\S+) (\S+)$/u.exec(line);
    if (found === null) throw new Error("a line below the checkpoint is no signature");
    return { name: found[1], bytes: decode64(found[2]) };
  });
  return { signed, origin: lines[0], size: wholeNumber(lines[1]), root: hashIn(lines[2]), signatures };
}

// The steps up from a leaf; throws where the proof has too many or too few hashes.
async function climb(leaf, { index, size, hashes }) {
  if (index >= size) throw new Error("the proof is of an event that the checkpoint does not cover");
  const half = (number) => Math.floor(number / 2); // beyond 32 bits, where >> would cut
  const steps = [];
  let [node, at, last, width] = [leaf, index, size - 1, 1];
  for (const sibling of hashes) {
    if (last === 0) throw new Error("the proof has a hash too many");
    const onLeft = at % 2 === 1 || at === last;
    while (onLeft && at > 0 && at % 2 === 0) [at, last, width] = [half(at), half(last), width * 2];
    const beside = onLeft ? at - 1 : at + 1;
    node = await sha256(new Uint8Array([1]), ...(onLeft ? [sibling, node] : [node, sibling]));
    const first = beside * width + 1;
    steps.push({ sibling, onLeft, first, stop: Math.min((beside + 1) * width, size), node });
    [at, last, width] = [half(at), half(last), width * 2];
  }
  if (last !== 0) throw new Error("the proof lacks a hash");
  return steps;
}

async function keyId(name, key) {
  const id = await sha256(new TextEncoder().encode(`${name}\n`), new Uint8Array([1]), key);
  return id.slice(0, 4);
}

// The keys that may have signed this log at this size: as `trust.json` has them.
function published(trust, origin, size) {
  const bound = (range, otherwise) => range[origin] ?? range["*"] ?? otherwise;
  return trust.log_keys
    .filter((one) => bound(one.from, 0) < size && size <= bound(one.until, Infinity))
    .map((one) => ({ name: origin, key: decode64(one.ed25519) }));
}

async function pinned(word) {
  const found = /^([^\s+]{1,255})\+([0-9a-f]{8})\+(\S+)$/.exec(word);
  if (found === null) throw new Error("a verifier key is name+id+key");
  const raw = decode64(found[3]);
  if (raw.length !== HASH_BYTES + 1 || raw[0] !== 1) throw new Error("it is no Ed25519 key");
  const key = raw.slice(1);
  if (hex(await keyId(found[1], key)) !== found[2]) throw new Error("its id is not that of the key");
  return [{ name: found[1], key }];
}

// Whether one of the keys signed; null where the browser cannot tell.
async function signedBy(proof, keys) {
  for (const { name, key } of keys) {
    if (name !== proof.origin) continue;
    const id = await keyId(name, key);
    for (const { name: signer, bytes } of proof.signatures) {
      if (signer !== name || !same(bytes.slice(0, 4), id)) continue;
      let imported;
      try {
        imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      } catch {
        return null;
      }
      const message = new TextEncoder().encode(proof.signed);
      return crypto.subtle.verify({ name: "Ed25519" }, imported, bytes.slice(4), message);
    }
  }
  return false;
}

function made(name, words, className) {
  const element = document.createElement(name);
  if (className !== undefined) element.className = className;
  element.append(...words);
  return element;
}

function hash(bytes, whole = false) {
  const code = made("code", [whole ? hex(bytes) : short(bytes)], "hash");
  code.title = hex(bytes);
  return code;
}

function show(line, leaf, steps, proof, good) {
  const mark = (right) => made("span", [right ? "✓" : "✗"], `mark ${right ? "good" : "bad"}`);
  const row = (className, words, right) =>
    made("li", [made("span", words, "grow"), mark(right)], className);
  const under = ({ first, stop }) => (first === stop ? `event ${first}` : `events ${first} to ${stop}`);
  list.replaceChildren(
    row("leaf", [`The event's ${line.length.toLocaleString("en")} bytes give the leaf `, hash(leaf)], true),
    ...steps.map((step) =>
      row(
        step.onLeft ? "from-left" : "from-right",
        [
          "With ",
          hash(step.sibling),
          ` on the ${step.onLeft ? "left" : "right"}, of ${under(step)}: `,
          hash(step.node),
        ],
        true,
      ),
    ),
    row(
      "root",
      [`Root of ${proof.size.toLocaleString("en")} events by the checkpoint: `, hash(proof.root, true)],
      good,
    ),
  );
}

function say(state, words) {
  verdict.className = `verdict ${state}`;
  verdict.textContent = words;
}

function conclude(good, signed, ownKey) {
  if (!good) return say("bad", "The hashes do not lead to the root of the checkpoint: keep this page and the proof.");
  const found = "Your browser made every hash itself, and they lead from the event to the checkpoint's root.";
  if (signed === null)
    return say("warn", `${found} It cannot check Ed25519 signatures: see the commands below.`);
  if (!signed)
    return say("bad", ownKey
      ? "The hashes lead to the root, and the checkpoint was not signed with the key that you keep."
      : "The hashes lead to the root, and the checkpoint was not signed with a key that this ledger publishes.");
  say("good", ownKey
    ? `${found} The checkpoint is signed with the key that you keep: the event is in that log.`
    : `${found} The checkpoint is signed with the key that the ledger publishes; compare that with one that you keep.`);
}

async function inspect() {
  const { project, position } = section.dataset;
  const base = `/v1/projects/${encodeURIComponent(project)}`;
  say("", "Your browser is checking …");
  const [line, proof] = await Promise.all([
    read(`${base}/events/${position}`),
    read(`${base}/log/proof/${position}`).then((raw) => parseProof(text(raw))),
  ]);
  const shown = new TextEncoder().encode(document.getElementById("line").textContent);
  if (!same(line, shown)) throw new Error("the bytes of the event are not those that this page shows");
  if (proof.index !== Number(position) - 1) throw new Error("the proof is of another event");
  const leaf = await sha256(new Uint8Array([0]), line);
  const steps = await climb(leaf, proof);
  const good = same(steps.at(-1)?.node ?? leaf, proof.root);
  show(line, leaf, steps, proof, good);
  const trust = await read("/v1/trust").then((raw) => JSON.parse(text(raw)), () => ({ log_keys: [] }));
  const own = published(trust, proof.origin, proof.size);
  conclude(good, await signedBy(proof, own), false);
  document.getElementById("pinning").hidden = false;
  let turn = 0;
  pin.addEventListener("input", async () => {
    const mine = ++turn;
    const word = pin.value.trim();
    try {
      const signed = await signedBy(proof, word === "" ? own : await pinned(word));
      if (mine === turn) conclude(good, signed, word !== "");
    } catch (error) {
      if (mine === turn) say("warn", `The key cannot be read: ${error.message}.`);
    }
  });
}

if (list !== null) {
  if (globalThis.crypto?.subtle === undefined) {
    say("warn", "Over plain HTTP browsers give pages no means to compute hashes: open the ledger by https, or take the commands.");
  } else {
    inspect().catch((error) => say("bad", `This could not be checked: ${error.message}.`));
  }
}
