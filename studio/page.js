// The selected tab, for a reload. sessionStorage keeps browser tabs apart; without it, each page starts with the first.
({
  remember: name => {
    try { sessionStorage.setItem('reverie-tab', name); } catch { }
  },
  recall: names => {
    let name = '';
    try { name = sessionStorage.getItem('reverie-tab'); } catch { }
    return { __type__: 'update', ...(names.includes(name) && { selected: name }) };
  },
})
