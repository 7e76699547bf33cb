/**
 * Letters at the edges of an image: which way the patient lies, where the file says so, however the image is turned;
 * and a word where it is mirrored.
 */

const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

const opposite = (letters) => Array.from(letters, (letter) => OPPOSITE[letter]).join("");

/** The letters at the four edges of the screen. `turn` is that of a placement. */
export function edgesOf({ row, column }, [a, b, c, d]) {
  // Where a step on the screen leads on the image: the inverse of a turn or mirroring is its transpose.
  const leads = (alongRow, alongColumn) => {
    if (alongRow) return alongRow > 0 ? row : opposite(row);
    return alongColumn > 0 ? column : opposite(column);
  };
  const [right, bottom] = [leads(a, c), leads(b, d)];
  return { left: opposite(right), right, top: opposite(bottom), bottom };
}

export const isMirrored = ([a, b, c, d]) => a * d - b * c < 0;

/** Keep the edges of a stage right for what its viewport shows. */
export function bindOrientation(stage, viewport) {
  const root = stage.querySelector("[data-orientation]");
  const said = root.querySelector("[data-orientation-said]");
  const mirrored = root.querySelector("[data-mirrored]");
  let shown = "";
  viewport.addEventListener("change", () => {
    const { orientation } = viewport.image;
    const { turn } = viewport.placement;
    const now = `${JSON.stringify(orientation)} ${turn}`;
    if (now === shown) return;
    shown = now;
    mirrored.hidden = !isMirrored(turn);
    const edges = orientation ? edgesOf(orientation, turn) : { left: "", right: "", top: "", bottom: "" };
    let sentence = orientation ? said.dataset.words : "";
    for (const [edge, letters] of Object.entries(edges)) {
      root.querySelector(`[data-edge=${edge}]`).textContent = letters;
      sentence = sentence.replace(`{${edge}}`, letters);
    }
    said.textContent = sentence;
  });
}
