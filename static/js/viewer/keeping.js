/**
 * Window, zoom and place outlive the pages of one case: locking a read loads the page anew, and nothing may jump.
 *
 * Kept in this tab for the image that was shown last; another image begins as it should.
 */

const STORE = "overread-view";

/** Keep how `viewport` shows the image at `address`, and take it up where the last page left it. */
export function keepView(viewport, address) {
  viewport.addEventListener("image", () => takeUp(viewport, address), { once: true });
  window.addEventListener("pagehide", () => viewport.image && keep(viewport, address));
}

function keep({ window: shown, inverted, placement }, address) {
  const { centre, width, voi } = shown;
  const { turn, scale, fitted, x, y, viewWidth, viewHeight } = placement;
  // From the middle of the viewport, which may have another size when the panel beside it has.
  const place = { turn, scale, fitted, x: x - viewWidth / 2, y: y - viewHeight / 2 };
  sessionStorage.setItem(STORE, JSON.stringify({ address, window: { centre, width, voi }, inverted, place }));
}

function takeUp(viewport, address) {
  const kept = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
  if (kept?.address !== address) return;
  viewport.inverted = kept.inverted;
  // The table itself comes with the image.
  viewport.window = kept.window.voi === "TABLE" ? { ...viewport.presets.named.table } : kept.window;
  const { placement } = viewport;
  placement.turn = kept.place.turn;
  if (kept.place.fitted) placement.fit();
  else {
    const { scale, x, y } = kept.place;
    Object.assign(placement, { scale, x: x + placement.viewWidth / 2, y: y + placement.viewHeight / 2, fitted: false });
  }
  viewport.repaint();
}
