//! Second pass: what is tried on a file. Every mutant stands beside the original, and a question to the environment chooses.

use crate::weave::{Id, Piece, Regions, Weave, plain};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// All mutants: what each is called, "package function: mutation".
#[derive(Default)]
pub struct Catalogue {
    pub names: Vec<String>,
    seen: BTreeMap<String, usize>,
}

impl Catalogue {
    fn add(&mut self, place: &str, what: String) -> Id {
        let name = format!("{place}: {what}");
        let count = self.seen.entry(name.clone()).or_default();
        *count += 1;
        self.names.push(if *count > 1 { format!("{name} #{count}") } else { name });
        self.names.len() - 1
    }
}

/// Rewrites one file. `dropped` are mutants that do not compile.
pub fn rewrite(
    source: &str,
    file: &syn::File,
    package: &str,
    catalogue: &mut Catalogue,
    dropped: &BTreeSet<String>,
) -> (String, Regions) {
    let krate = if package == "core" { "crate" } else { "ice_core" };
    let place = vec![package.to_owned()];
    let mut pass = Pass { source, krate, place, catalogue, dropped, weave: Weave::default() };
    pass.visit_file(file);
    pass.weave.apply(source)
}

struct Pass<'a> {
    source: &'a str,
    /// Where the question is found.
    krate: &'static str,
    /// Package, type and function that we are in.
    place: Vec<String>,
    catalogue: &'a mut Catalogue,
    dropped: &'a BTreeSet<String>,
    weave: Weave,
}

/// One way to change an expression.
struct Change {
    what: String,
    text: String,
}

impl Pass<'_> {
    fn text(&self, of: &impl Spanned) -> String {
        self.source[of.span().byte_range()].to_owned()
    }

    fn add(&mut self, what: String) -> Id {
        let place = if self.place.len() > 1 {
            format!("{} {}", self.place[0], self.place[1..].join("::"))
        } else {
            self.place[0].clone()
        };
        self.catalogue.add(&place, what)
    }

    fn is_dropped(&self, id: Id) -> bool {
        self.dropped.contains(&self.catalogue.names[id])
    }

    /// The question whether a mutant is the chosen one.
    fn on(&self, id: Id) -> String {
        format!("{}::mutants::on({id})", self.krate)
    }

    /// An expression that is one of several.
    fn choose(&mut self, range: std::ops::Range<usize>, changes: Vec<Change>) {
        let mut pieces = Vec::new();
        for change in changes {
            let id = self.add(change.what);
            if self.is_dropped(id) {
                continue;
            }
            pieces.push(plain(format!("{}if {} {{ ", if pieces.is_empty() { "(" } else { "" }, self.on(id))));
            pieces.push(Piece { text: change.text, of: Some(id) });
            pieces.push(plain(" } else "));
        }
        if !pieces.is_empty() {
            pieces.push(plain("{ "));
            self.weave.wrap(range, pieces, " })");
        }
    }

    fn inside(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.place.push(name);
        visit(self);
        self.place.pop();
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let name = signature.ident.to_string();
        if signature.constness.is_some() {
            return;
        }
        if name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()) && name.len() > 1 {
            if let ([syn::Stmt::Expr(value, None)], syn::ReturnType::Type(_, ty)) =
                (&block.stmts[..], &signature.output)
            {
                return self.inside(name, |s| s.constant(value, ty));
            }
        }
        self.inside(name.clone(), |s| {
            let values = match &signature.output {
                syn::ReturnType::Default => vec!["()".into()],
                syn::ReturnType::Type(_, ty) => values(ty),
            };
            let body = block.stmts.iter().map(ToTokens::to_token_stream).collect::<proc_macro2::TokenStream>();
            let body = body.to_string().replace(' ', "");
            let pure = |value: &String| value.replace(' ', "") == body || (value == "()" && body.is_empty());
            let mut pieces = Vec::new();
            for value in values.into_iter().filter(|value| name != "default" && !pure(value)) {
                let id = s.add(format!("returns {value}"));
                if !s.is_dropped(id) {
                    pieces.push(plain(format!(" if {} {{ return ", s.on(id))));
                    pieces.push(Piece { text: value, of: Some(id) });
                    pieces.push(plain("; }"));
                }
            }
            if !pieces.is_empty() {
                s.weave.point(block.brace_token.span.open().byte_range().end, pieces);
            }
            visit::visit_block(s, block);
        });
    }

    /// The value of a constant: double, half, one more, one less.
    fn constant(&mut self, value: &syn::Expr, ty: &syn::Type) {
        let text = self.text(value);
        let mut changes = Vec::new();
        match ty.to_token_stream().to_string().as_str() {
            "Duration" => {
                let unit = text.split('(').next().unwrap_or_default();
                let unit = if unit.starts_with("Duration::from_") { unit } else { "Duration::from_secs" };
                changes = vec![("* 2", "* 2".into()), ("/ 2", "/ 2".into())];
                changes.extend([("+ 1", format!("+ {unit}(1)")), ("- 1", format!("- {unit}(1)"))]);
            }
            "f64" => changes = vec![("* 2", "* 2.0".into()), ("/ 2", "/ 2.0".into())],
            ty if ty.starts_with('(') => {}
            _ => {
                for (what, change) in [("* 2", "* 2"), ("/ 2", "/ 2"), ("+ 1", "+ 1"), ("- 1", "- 1")] {
                    // Twice 1 is 1 more, half of it 1 less.
                    let same = if what.ends_with('2') {
                        matches!(text.as_str(), "0" | "1")
                    } else {
                        text == "0" && what == "- 1"
                    };
                    if !same {
                        changes.push((what, change.into()));
                    }
                }
            }
        }
        let changes = changes.into_iter();
        let changes =
            changes.map(|(what, change)| Change { what: format!("{text} {what}"), text: format!("({text}) {change}") });
        let mut changes: Vec<Change> = changes.collect();
        if let syn::Expr::Tuple(tuple) = value {
            let parts: Vec<String> = tuple.elems.iter().map(|e| self.text(e)).collect();
            for n in 0..parts.len() {
                let two = if parts[n].contains(['.', 'e']) { "2.0" } else { "2" };
                for sign in ["*", "/"] {
                    let mut parts = parts.clone();
                    parts[n] = format!("({}) {sign} {two}", parts[n]);
                    changes.push(Change {
                        what: format!("{text} .{n} {sign} 2"),
                        text: format!("({})", parts.join(", ")),
                    });
                }
            }
        }
        self.choose(value.span().byte_range(), changes);
    }
}

/// What a function of this type returns instead.
fn values(ty: &syn::Type) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    match ty {
        syn::Type::Never(_) => Vec::new(),
        syn::Type::Tuple(tuple) if tuple.elems.is_empty() => words(&["()"]),
        syn::Type::Tuple(tuple) => {
            let first: Vec<_> = tuple.elems.iter().filter_map(|ty| values(ty).into_iter().next()).collect();
            if first.len() == tuple.elems.len() { vec![format!("({})", first.join(", "))] } else { Vec::new() }
        }
        syn::Type::Reference(reference) if reference.mutability.is_none() => match &*reference.elem {
            syn::Type::Slice(_) => words(&["&[]"]),
            syn::Type::Path(path) if path.path.is_ident("str") => words(&["\"\"", "\"xyzzy\""]),
            _ => Vec::new(),
        },
        syn::Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            let inner: Vec<String> = match &last.arguments {
                syn::PathArguments::AngleBracketed(of) => match of.args.first() {
                    Some(syn::GenericArgument::Type(ty)) => values(ty),
                    _ => Vec::new(),
                },
                _ => Vec::new(),
            };
            let name = last.ident.to_string();
            match name.as_str() {
                "bool" => words(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "isize" | "u128" | "i8" | "i16" => {
                    words(&["0", "1"])
                }
                "f32" | "f64" => words(&["0.0", "1.0"]),
                "String" => words(&["String::new()", "\"xyzzy\".into()"]),
                "Option" => ["None".to_owned()].into_iter().chain(inner.iter().map(|v| format!("Some({v})"))).collect(),
                "Result" | "ControlFlow" if inner.is_empty() => words(&["Ok(())"]),
                "Result" => inner.iter().map(|v| format!("Ok({v})")).collect(),
                _ => words(&["Default::default()"]),
            }
        }
        _ => Vec::new(),
    }
}

/// What stands for a binary operator.
fn swaps(op: &syn::BinOp) -> &'static [&'static str] {
    use syn::BinOp as O;
    match op {
        O::Eq(_) => &["!="],
        O::Ne(_) => &["=="],
        O::Lt(_) => &["<=", ">"],
        O::Le(_) => &["<", ">"],
        O::Gt(_) => &[">=", "<"],
        O::Ge(_) => &[">", "<"],
        O::And(_) => &["||"],
        O::Or(_) => &["&&"],
        O::Add(_) => &["-", "*"],
        O::Sub(_) => &["+", "/"],
        O::Mul(_) => &["/", "+"],
        O::Div(_) => &["*", "%"],
        O::Rem(_) => &["/"],
        O::Shl(_) => &[">>"],
        O::Shr(_) => &["<<"],
        O::BitAnd(_) => &["|"],
        O::BitOr(_) => &["&"],
        O::BitXor(_) => &["|", "&"],
        O::AddAssign(_) => &["-=", "*="],
        O::SubAssign(_) => &["+="],
        O::MulAssign(_) => &["+="],
        O::DivAssign(_) => &["*="],
        O::BitOrAssign(_) => &["&="],
        O::BitAndAssign(_) => &["|="],
        O::BitXorAssign(_) => &["|="],
        O::ShlAssign(_) => &[">>="],
        O::ShrAssign(_) => &["<<="],
        _ => &[],
    }
}

/// Whether an item is one of the tests.
fn of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("test") || (a.path().is_ident("cfg") && a.meta.to_token_stream().to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for Pass<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !of_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = item.self_ty.to_token_stream().to_string().replace(' ', "");
        let of_trait =
            item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()).map(|last| last.ident.to_string());
        if of_tests(&item.attrs) || of_trait.as_deref() == Some("Debug") {
            return;
        }
        let name = of_trait.map_or(of.clone(), |t| format!("<{t} for {of}>"));
        self.inside(name, |s| visit::visit_item_impl(s, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(item.ident.to_string(), |s| visit::visit_item_trait(s, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !of_tests(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !of_tests(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    // What the compiler evaluates can't ask.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_variant(&mut self, _: &'ast syn::Variant) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
    }

    fn visit_expr_binary(&mut self, item: &'ast syn::ExprBinary) {
        let [left, right] = [&item.left, &item.right].map(|side| self.text(side));
        let op = self.text(&item.op);
        let change = |new: &&str| Change {
            what: format!("{new} for {op} in {}", short(&format!("{left} {op} {right}"))),
            text: format!("{left} {new} {right}"),
        };
        if !has_let(&item.left) && !has_let(&item.right) {
            let changes = swaps(&item.op).iter().map(change).collect();
            self.choose(item.span().byte_range(), changes);
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_unary(&mut self, item: &'ast syn::ExprUnary) {
        let operand = self.text(&item.expr);
        let literal = matches!(*item.expr, syn::Expr::Lit(_));
        if matches!(item.op, syn::UnOp::Not(_)) || (matches!(item.op, syn::UnOp::Neg(_)) && !literal) {
            let op = self.text(&item.op);
            let what = format!("no {op} in {}", short(&format!("{op}{operand}")));
            self.choose(item.span().byte_range(), vec![Change { what, text: operand }]);
        }
        visit::visit_expr_unary(self, item);
    }

    fn visit_expr_method_call(&mut self, item: &'ast syn::ExprMethodCall) {
        let name = item.method.to_string();
        let new = match name.as_str() {
            "min" => "max",
            "max" => "min",
            "is_some" => "is_none",
            "is_none" => "is_some",
            "is_ok" => "is_err",
            "is_err" => "is_ok",
            "any" => "all",
            "all" => "any",
            "is_empty" | "contains" | "contains_key" | "starts_with" | "ends_with" => "!",
            _ => "",
        };
        if !new.is_empty() {
            let whole = item.span().byte_range();
            let text = self.text(item);
            let at = item.method.span().byte_range();
            let text_new = if new == "!" {
                format!("!{text}")
            } else {
                format!("{}{new}{}", &text[..at.start - whole.start], &text[at.end - whole.start..])
            };
            let what =
                format!("{} in {}", if new == "!" { "not".into() } else { format!("{new} for {name}") }, short(&text));
            self.choose(whole, vec![Change { what, text: text_new }]);
        }
        visit::visit_expr_method_call(self, item);
    }

    fn visit_expr_macro(&mut self, item: &'ast syn::ExprMacro) {
        if item.mac.path.is_ident("matches") {
            let text = self.text(item);
            let what = format!("not in {}", short(&text));
            self.choose(item.span().byte_range(), vec![Change { what, text: format!("!{text}") }]);
        }
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        self.visit_expr(&item.expr);
        let rest = item.arms.last().is_some_and(|arm| matches!(arm.pat, syn::Pat::Wild(_)) && arm.guard.is_none());
        let last = item.arms.len() - 1;
        for (n, arm) in item.arms.iter().enumerate() {
            let pattern = short(&self.text(&arm.pat));
            let gone = (rest && n < last).then(|| self.add(format!("no arm {pattern}")));
            let gone = gone.filter(|id| !self.is_dropped(*id));
            let present = gone.map(|id| Piece { text: format!("!{}", self.on(id)), of: Some(id) });
            match &arm.guard {
                None => {
                    if let Some(present) = present {
                        self.weave.point(arm.pat.span().byte_range().end, vec![plain(" if "), present]);
                    }
                }
                Some((_, guard)) => {
                    let condition = short(&self.text(guard));
                    let always = self.add(format!("true for the guard {condition}"));
                    let never = self.add(format!("false for the guard {condition}"));
                    let mut pieces = Vec::new();
                    if let Some(present) = present {
                        pieces.extend([present, plain(" && ")]);
                    }
                    pieces.push(plain(format!("({} || !{} && (", self.on(always), self.on(never))));
                    self.weave.wrap(guard.span().byte_range(), pieces, "))");
                    self.visit_expr(guard);
                }
            }
            self.visit_expr(&arm.body);
        }
    }
}

fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// An expression on one line, as long as a name may be.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
