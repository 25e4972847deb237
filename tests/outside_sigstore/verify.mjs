// Asks @sigstore/verify, unmodified, about many bundles at once, so that Node starts once.
//
//   node verify.mjs FOLDER < CASES > VERDICTS      FOLDER: where node_modules is
//
// CASES is {"roots": {NAME: ROOT}, "cases": [{"root": NAME, "bundle": BASE64, "artifact": BASE64?}…]}, and
// a ROOT {"trusted_root": its text, "keys": {HINT: PEM}, "timestamps": how many a bundle needs}. For each
// case there is one verdict: {"ok": true, "read": the bundle as its own parser has read it}, or
// {"ok": false, "why": TEXT}. Whatever the library throws is a refusal: a reader gets no answer from it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const load = createRequire(join(resolve(process.argv[2]), "package.json"));
const { bundleFromJSON, bundleToJSON } = load("@sigstore/bundle");
const { TrustedRoot } = load("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = load("@sigstore/verify");

const { roots, cases } = JSON.parse(readFileSync(0, "utf8"));

const verifiers = new Map();
for (const [name, root] of Object.entries(roots)) {
  const keys = Object.fromEntries(
    Object.entries(root.keys).map(([hint, pem]) => [hint, { rawBytes: pem }]),
  );
  const trust = toTrustMaterial(TrustedRoot.fromJSON(JSON.parse(root.trusted_root)), keys);
  const needed = { tlogThreshold: 1, ctlogThreshold: 0, timestampThreshold: root.timestamps };
  verifiers.set(name, new Verifier(trust, needed));
}

function verdict({ root, bundle, artifact }) {
  try {
    const text = Buffer.from(bundle, "base64").toString("utf8");
    const read = bundleFromJSON(JSON.parse(text));
    const about = artifact === undefined ? undefined : Buffer.from(artifact, "base64");
    verifiers.get(root).verify(toSignedEntity(read, about));
    return { ok: true, read: bundleToJSON(read) };
  } catch (error) {
    return { ok: false, why: `${error.code ?? error.name}: ${error.message}`.slice(0, 200) };
  }
}

process.stdout.write(JSON.stringify(cases.map(verdict)));
