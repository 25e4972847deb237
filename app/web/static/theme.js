// The colours that the reader chose, before anything is painted; without a choice the system's hold.
(() => {
  const root = document.documentElement;
  const names = ["system", "light", "dark"];
  const kept = () => {
    try {
      return localStorage.getItem("theme") ?? "system";
    } catch {
      return "system"; // storage may be forbidden
    }
  };
  const show = (name) => {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
  };
  show(kept());
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = { system: "Auto", light: "Light", dark: "Dark" }[kept()];
      button.setAttribute("aria-label", `Colours: ${kept()}. Change`);
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      const next = names[(names.indexOf(kept()) + 1) % names.length];
      try {
        localStorage.setItem("theme", next);
      } catch {
        return;
      }
      show(next);
      label();
    });
  });
})();
