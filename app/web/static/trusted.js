// The one way of HTML into a page: only what the ledger has rendered, which escapes and sanitises it.
export const trusted = globalThis.trustedTypes?.createPolicy("deedbook", {
  createHTML: (html) => html,
}) ?? { createHTML: (html) => html };

// A second sieve where the browser has one: it drops what could act, and leaves all else as it is.
const SIEVE = { sanitizer: {} };

// Rendered HTML as nodes that are in no page yet.
export function nodesOf(html) {
  if (Element.prototype.setHTML !== undefined) {
    const holder = document.createElement("div");
    holder.setHTML(html, SIEVE);
    return holder;
  }
  const template = document.createElement("template");
  template.innerHTML = trusted.createHTML(html);
  return template.content;
}
