// Shows what an agent wrote. The backend sends it as cleaned HTML; this does not rely on that: the text is read by an inert
// parser and copied element by element, and only these elements, without any attribute but a web link's address.

const ALLOWED = new Set(
  "A BLOCKQUOTE BR CODE EM H1 H2 H3 H4 H5 H6 HR LI OL P PRE STRONG TABLE TBODY TD TH THEAD TR UL".split(" "));
// Their text is not content.
const DROPPED = new Set(["SCRIPT", "STYLE", "TEMPLATE", "NOSCRIPT", "IFRAME", "OBJECT", "SVG", "MATH", "TITLE"]);
// A report stands under the page's own headings.
const LOWERED = { H1: "h3", H2: "h4", H3: "h5", H4: "h6", H5: "h6", H6: "h6" };

const inert = globalThis.trustedTypes
  ? globalThis.trustedTypes.createPolicy("report", { createHTML: (text) => text })
  : { createHTML: (text) => text };

export function showReport(target, { html, markdown }) {
  if (typeof html === "string" && html) {
    const parsed = new DOMParser().parseFromString(inert.createHTML(html), "text/html");
    target.replaceChildren(...copied(parsed.body));
  } else {
    const plain = document.createElement("pre");
    plain.textContent = String(markdown ?? "");
    target.replaceChildren(plain);
  }
}

function copied(parent) {
  return [...parent.childNodes].flatMap(copyOf);
}

function copyOf(node) {
  if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.data)];
  if (node.nodeType !== Node.ELEMENT_NODE) return [];
  const name = node.tagName.toUpperCase();
  if (DROPPED.has(name)) return [];
  if (!ALLOWED.has(name)) return copied(node);
  return [withScroll(name, filled(name, node))];
}

function filled(name, node) {
  const element = document.createElement(LOWERED[name] ?? name.toLowerCase());
  if (name === "A") link(element, node.getAttribute("href"));
  element.append(...copied(node));
  return element;
}

function link(element, address) {
  const url = webAddress(address);
  if (!url) return;
  element.href = url.href;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
}

function withScroll(name, element) {
  if (name !== "TABLE") return element;
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Table");
  box.append(element);
  return box;
}

// An http(s) address, or null: never javascript:, data: or something relative to this page.
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}
