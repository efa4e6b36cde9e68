// A scanner types like a keyboard: fast, and ends with Enter. What it types is told apart from a person by
// its pace, so that it works wherever the cursor is not in a field, and never opens or presses anything.

const PACE = 60;
const SHORTEST = 3;

/** Calls `scanned` with each code that a scanner types. */
export function listen(scanned, enabled) {
  let code = '';
  let last = 0;
  document.addEventListener('keydown', (event) => {
    const field = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (field || event.ctrlKey || event.altKey || event.metaKey || !enabled()) { code = ''; return; }
    const now = performance.now();
    const fast = now - last < PACE;
    last = now;
    if (event.key === 'Enter') {
      if (fast && code.length >= SHORTEST) {
        event.preventDefault();
        event.stopPropagation();
        scanned(code);
      }
      code = '';
    } else if (event.key.length === 1) {
      code = fast ? code + event.key : event.key;
      if (event.key === ' ' && code.length > 1) event.preventDefault();
    }
  }, true);
}
