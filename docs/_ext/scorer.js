// Scores of the site's search. Sphinx scores the name of a method above the title of a page:
// "save" would list the method of ten classes before the guide.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 0, 1: -5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
