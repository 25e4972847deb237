// Buttons that copy what another element says; without this the text can be selected.
if (navigator.clipboard !== undefined) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const word = button.textContent;
    let wait;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      clearTimeout(wait);
      wait = setTimeout(() => {
        button.textContent = word;
      }, 2000);
    });
  }
}
