// Builds and finds elements. Text is always text: nothing here turns a string into markup.

export const find = (id) => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element ${id}`);
  return element;
};

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (/^(data|aria)-/.test(name) || name === "scope" || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export const show = (id, visible) => { find(id).hidden = !visible; };

// Writes only what changed, so that a screen reader is not told the same thing every second.
export const write = (id, text) => {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
};
