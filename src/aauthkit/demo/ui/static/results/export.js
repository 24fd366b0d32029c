// Results as files, made in the browser from what the backend answered.

const COLUMNS = ["item", "quantity", "unit_price", "supplier", "tier", "service", "lead_time", "total"];

/** @param {any} results */
export function saveCsv(results) {
  save(`plan-${results.request_id}.csv`, "text/csv", csv(results.recommendations ?? []));
}

/** @param {any} results */
export function saveJson(results) {
  save(`plan-${results.request_id}.json`, "application/json", `${JSON.stringify(results, null, 2)}\n`);
}

/** RFC 4180. @param {any[]} rows */
function csv(rows) {
  return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name] ?? ""))].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

// A spreadsheet runs text that begins like a formula, and an agent wrote this text: an apostrophe keeps it text.
function cell(value) {
  if (typeof value === "number") return String(value);
  const text = /^[\s]*[=+\-@]/.test(String(value)) || /^[\t\r]/.test(String(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // After the browser took it.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
