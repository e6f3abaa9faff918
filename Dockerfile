FROM python:3.11-slim
WORKDIR /reverie
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY app.py LICENSE ./
COPY engines engines
COPY studio studio
COPY weights weights
RUN useradd --create-home reverie && install -d -o reverie outputs
USER reverie
VOLUME /reverie/outputs
EXPOSE 7860
CMD ["python", "app.py", "--host", "0.0.0.0"]
