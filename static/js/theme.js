/** The theme toggle: a form that posts; here it changes the page at once and keeps the cookie itself. */

export function bindTheme() {
  const form = document.querySelector("form[data-theme-toggle]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button[name=theme]");
    const wanted = button.value;
    const other = wanted === "light" ? "dark" : "light";
    document.documentElement.dataset.theme = wanted;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const path = form.dataset.cookiePath || "/";
    document.cookie = `theme=${wanted}; Path=${path}; Max-Age=31536000; SameSite=Lax${secure}`;
    button.value = other;
    button.setAttribute("aria-label", other === "light" ? button.dataset.labelLight : button.dataset.labelDark);
  });
}
