-- slides.lua -- a page of the course as slides, by pandoc:
--     cd docs/course && pandoc -f gfm -t dzslides -L slides.lua --self-contained 1_bayes.md -o slides.html
-- A section becomes slides with its heading: of each paragraph the first sentence, and every picture,
-- table and block; a new slide begins where the last one is full.
local FULL = 15 -- lines

local function first_sentence(inlines)
    local out = pandoc.List()
    for i, x in ipairs(inlines) do
        out:insert(x)
        local after = inlines[i + 1]
        local ends = x.t == 'Str' and x.text:match('[.:?][")]?$') and not x.text:match('^%a%.$')
        if ends and (not after or after.t == 'Space' or after.t == 'SoftBreak') then break end
    end
    return out
end

local function lines_of(b)
    if b.t == 'CodeBlock' then
        local _, n = b.text:gsub('\n', '\n')
        return 1 + n
    elseif b.t == 'Table' then
        return 3 + #b.bodies[1].body
    elseif b.t == 'OrderedList' or b.t == 'BulletList' then
        return FULL
    elseif b.t == 'Para' and b.content[1].t == 'Image' then
        return FULL - 2
    end
    return 2
end

function Pandoc(doc)
    local out, head, used = pandoc.List(), nil, 0
    local function begin()
        out:insert(pandoc.Header(1, head.content:clone()))
        used = 0
    end
    local function put(b, n)
        if used > 0 and used + n > FULL and head then begin() end
        out:insert(b)
        used = used + n
    end
    for _, b in ipairs(doc.blocks) do
        if b.t == 'Header' then
            head = b
            begin()
        elseif b.t == 'OrderedList' then -- exercises: one slide each
            for i, item in ipairs(b.content) do
                if i > 1 then begin() end
                out:insert(pandoc.OrderedList({ item }, pandoc.ListAttributes(i)))
            end
            used = FULL
        elseif b.t == 'Para' and b.content[1].t ~= 'Image' then
            put(pandoc.Para(first_sentence(b.content)), 2)
        else
            put(b, lines_of(b))
        end
    end
    return pandoc.Pandoc(out, doc.meta)
end

local CSS = [[<style>
section { font-size: 21px; background: #fff; color: #000; }
section h1 { font-size: 34px; margin: 18px 40px 8px; text-align: left; }
section p, section ol, section ul, section table { margin: 8px 40px; font-size: 24px; line-height: 1.25; }
section pre { margin: 8px 40px; font-size: 17px; line-height: 1.25; }
section figure, section p > img { text-align: center; }
section img { height: 430px; width: auto; margin: 0 auto; display: block; }
section figcaption { font-size: 20px; margin: 4px 40px; }
section table { font-size: 19px; border-collapse: collapse; }
section td, section th { padding: 2px 12px; border-bottom: 1px solid #999; }
</style>]]

function Meta(meta)
    meta['header-includes'] = pandoc.MetaBlocks({ pandoc.RawBlock('html', CSS) })
    return meta
end
