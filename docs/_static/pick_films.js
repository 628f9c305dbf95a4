// Recommend films by the vectors in films.js, as NextItemRecommender does.
(() => {
  const MOST_PICKS = 3;
  const MOST_CHOICES = 60;
  const LIST_LENGTH = 10;
  const element = (id) => document.getElementById(id);
  const [form, search, choices, status, list] = [
    "pick-films", "pick-search", "pick-choices", "pick-status", "pick-list",
  ].map(element);

  // Rows of scaled 16-bit integers, lowest byte first.
  const unpack = ({ scales, integers }) => {
    const bytes = Uint8Array.from(atob(integers), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const width = bytes.length / 2 / scales.length;
    return scales.map((scale, row) =>
      Float64Array.from({ length: width }, (_, i) => scale * view.getInt16(2 * (row * width + i), true)));
  };
  const [vectors, history, positions] = ["vectors", "history", "positions"].map((name) => unpack(FILMS[name]));
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  // The newest pick comes first.
  const recommend = (picks) => {
    const terms = picks.map((film, place) => positions[place].map((weight, i) => weight * history[film][i]));
    return vectors
      .map((vector, film) => {
        const parts = terms.map((term) => dot(term, vector));
        const score = parts.reduce((sum, part) => sum + part, FILMS.biases[film]);
        return { film, score, reason: picks[parts.indexOf(Math.max(...parts))] };
      })
      .filter(({ film }) => !picks.includes(film))
      .sort((a, b) => b.score - a.score)
      .slice(0, LIST_LENGTH);
  };

  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const names = FILMS.titles.map(plain);
  let picks = [];

  const showList = () => {
    const lines = picks.length ? recommend(picks) : [];
    list.replaceChildren(...lines.map(({ film, reason }) => {
      const line = document.createElement("li");
      const because = document.createElement("small");
      because.textContent = ` because of ${FILMS.titles[reason]}`;
      line.append(FILMS.titles[film], because);
      return line;
    }));
    status.textContent = `${picks.length} of ${MOST_PICKS} films picked.`;
    for (const box of choices.querySelectorAll("input")) {
      box.disabled = !box.checked && picks.length === MOST_PICKS;
    }
  };

  const choice = (film) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", value: film, checked: picks.includes(film) });
    label.append(box, ` ${FILMS.titles[film]}`);
    return label;
  };

  // Picks stay at the top, whatever is searched for.
  const showChoices = () => {
    const words = plain(search.value).split(/\s+/);
    const found = [...names.keys()].filter(
      (film) => !picks.includes(film) && words.every((word) => names[film].includes(word)));
    choices.replaceChildren(...[...picks, ...found.slice(0, MOST_CHOICES)].map(choice));
    if (!found.length) choices.append("No film has these words in its title.");
    showList();
  };

  search.addEventListener("input", showChoices);
  choices.addEventListener("change", ({ target }) => {
    const film = Number(target.value);
    picks = target.checked ? [film, ...picks] : picks.filter((pick) => pick !== film);
    showList();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    picks = [];
    search.value = "";
    showChoices();
  });
  showChoices();
})();
