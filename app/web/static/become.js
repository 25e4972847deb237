// Make an element's content like other content and touch only what differs: the focus, a selection and the
// place to which a table was scrolled stay where they are.
export function become(element, wanted) {
  const had = [...element.childNodes];
  const want = [...wanted.childNodes];
  for (const [index, node] of want.entries()) {
    if (index >= had.length) element.append(node);
    else if (!node.isEqualNode(had[index])) change(had[index], node);
  }
  for (const node of had.slice(want.length)) node.remove();
}

function change(had, want) {
  if (had.nodeType === Node.TEXT_NODE && want.nodeType === Node.TEXT_NODE) {
    // What is only longer grows, so that a selection in it stays.
    if (want.data.startsWith(had.data)) had.appendData(want.data.slice(had.data.length));
    else had.data = want.data;
  } else if (had.nodeType === Node.ELEMENT_NODE && had.localName === want.localName && had.namespaceURI === want.namespaceURI) {
    for (const name of had.getAttributeNames()) if (!want.hasAttribute(name)) had.removeAttribute(name);
    for (const name of want.getAttributeNames()) {
      if (had.getAttribute(name) !== want.getAttribute(name)) had.setAttribute(name, want.getAttribute(name));
    }
    become(had, want);
  } else {
    had.replaceWith(want);
  }
}
